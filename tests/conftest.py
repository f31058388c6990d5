"""Settings and fixtures for the tests of all folders."""

import os
import signal
import sys

import pytest
from hypothesis import settings

# As the command does: threads of torch that spin while they wait would stall the tests on a busy machine.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
if "PYTEST_XDIST_WORKER" in os.environ:     # one core a worker
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Runs record no times and no command lines, so that tests can compare whole model files.
os.environ.setdefault("SOURCE_DATE_EPOCH", "1500000000")

# A background job of a shell ignores INT, and so would the processes that tests start in order to interrupt them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    """Let Hypothesis try 30 examples in the fast suite; in a whole run, and in a single file, 100."""
    settings.register_profile("fast", max_examples=30)
    if config.option.markexpr == "not slow":
        settings.load_profile("fast")


def pytest_collection_modifyitems(items):
    """Run slow tests first, so that all workers end at about the same time, with short tests."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def no_flushed_denormals():
    """Reset torch's flushing of denormals, which a training in this process sets and other tests must not see."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture
def one_thread():
    """Run torch on one thread; the networks of the tests are too small for more."""
    import torch
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
