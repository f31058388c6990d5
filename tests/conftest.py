"""What several rooms' tests share."""

import pytest


@pytest.fixture
def one_thread():
    """Torch on one thread: the networks of the tests are too small for more."""
    import torch
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
