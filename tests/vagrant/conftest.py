"""Hooks for the tests here, which need the machine for themselves."""

import signal

from tests.support.whole_machine import (  # noqa: F401 - hooks of pytest
    pytest_configure_node,
    pytest_runtest_protocol,
    pytest_unconfigure,
)

# Told to end, a run of tests takes down what it made, as it does at Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)
