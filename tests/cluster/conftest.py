"""Cluster tests run in a testbed: python -m testbed up; python -m testbed exec -- python -m pytest tests/cluster."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the package `testbed` is beside the tests and not installed

from testbed import Testbed, TestbedError


@pytest.fixture(scope="session")
def testbed() -> Testbed:
    """The testbed whose network this test run is in; without one the test fails and says what to run."""
    try:
        return Testbed.attach()
    except TestbedError as error:
        pytest.fail(str(error), pytrace=False)
