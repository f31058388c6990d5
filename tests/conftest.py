"""What several rooms' tests share."""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import pytest

# As the command itself does: torch's threads must not spin, or a busy machine stalls the tests.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:     # each worker has a core
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A shell's background job ignores INT; so would all that the tests start, which are to be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """The long proofs first: workers then end at about the same time, with short tests."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def no_flushed_denormals():
    """A training in this process makes torch flush denormals, which other tests must not see."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture
def one_thread():
    """Torch on one thread: the networks of the tests are too small for more."""
    import torch
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _helper(name):
    """A module beside this file; tests have no package to import it from."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def faults():
    """The module of disks that fail."""
    return _helper("faults")


@pytest.fixture(scope="session")
def power():
    """The module of disks that lose what was not yet synced."""
    return _helper("power")


@pytest.fixture(scope="session")
def forging():
    """The module of model files changed in one place."""
    return _helper("forging")


@pytest.fixture(scope="session")
def every_damage():
    """A function that cuts a file at every place and flips every one of its bits, and each time demands a ModelFileError."""
    from charlm.errors import ModelFileError

    def refused(read):
        try:
            read()
        except ModelFileError:
            return True
        return False

    def damage(path, read):
        read()
        with open(path, "rb") as file:
            whole = file.read()
        descriptor = os.open(path, os.O_RDWR)
        try:
            for place, byte in enumerate(whole):
                for bit in range(8):
                    os.pwrite(descriptor, bytes([byte ^ 1 << bit]), place)
                    assert refused(read), f"bit {bit} of byte {place}"
                os.pwrite(descriptor, whole[place:place + 1], place)
            read()                                          # it was put together again
            for length in reversed(range(len(whole))):
                os.ftruncate(descriptor, length)
                assert refused(read), f"cut after {length} bytes"
        finally:
            os.close(descriptor)
    return damage
