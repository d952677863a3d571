"""python -m gpuready"""

import os
import signal
import sys

if os.getpid() == 1:
    # In a container: the kernel drops a signal that PID 1 has no handler for, and a pod that is deleted while it starts
    # would live on for its whole grace period. The agent's own handler comes when its loop runs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

from gpuready.cli.main import main

main()
