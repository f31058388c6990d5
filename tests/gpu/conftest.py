"""Tests of a GPU: every test in this folder has the marker `gpu`, and is skipped where torch sees none.

    python -m pytest -m gpu tests/gpu
"""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)         # before `-m gpu` picks the tests
def pytest_collection_modifyitems(items):
    """Mark the tests of this folder, and skip them without a GPU."""
    found = [item for item in items if FOLDER in item.path.parents]
    if not found:
        return
    import torch
    available = torch.cuda.is_available()
    for item in found:
        item.add_marker(pytest.mark.gpu)
        if not available:
            item.add_marker(pytest.mark.skip(reason="torch sees no GPU"))


@pytest.fixture(autouse=True)
def full_precision():
    """Compute in full single precision, so that results can be compared with the CPU's."""
    import torch
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
