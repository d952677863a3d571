"""The one error of the testbed: what is so, where, and what to do next."""


class TestbedError(Exception):
    """The testbed could not do what was asked; the message is for the person who asked."""

    __test__ = False  # pytest takes every class named Test* for a test
