"""The demo's cluster: an API server on localhost over objects in memory, and two nodes that only act as if.

It serves exactly what `gpuready demo` asks, to the ordinary client, and answers as the real API server does
(tests/contracts/test_demo.py compares them). Everything in it that has a name says that it is simulated.
"""
