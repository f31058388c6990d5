"""What several rooms' tests share."""

import os
import sys

import pytest

# As the command itself does: torch's threads must not spin, or a busy machine stalls the tests.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


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
