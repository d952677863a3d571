"""Real Kubernetes nodes on one machine, for the tests: `python -m testbed` or `Testbed`. Not part of the wheel."""

from testbed.cluster import Testbed
from testbed.errors import TestbedError
from testbed.node import Node

__all__ = ["Node", "Testbed", "TestbedError"]
