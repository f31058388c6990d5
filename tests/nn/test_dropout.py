"""Dropout from random bytes: its share, its scale, its seed and its gradient."""

import pytest
import torch

from charlm.nn.dropout import Dropout


def ones(*shape):
    return torch.ones(*shape, requires_grad=True)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.95])
def test_the_share_of_dropped_entries_is_the_rate(rate):
    torch.manual_seed(1)
    dropped = (Dropout(rate)(ones(1000, 200)) == 0).float().mean().item()
    assert dropped == pytest.approx(rate, abs=1 / 512 + 0.005)


def test_the_expectation_is_kept_although_the_rate_is_rounded():
    torch.manual_seed(1)
    outputs = Dropout(0.3)(ones(1000, 200))
    assert outputs.mean().item() == pytest.approx(1, abs=0.01)
    assert outputs.unique().tolist() == pytest.approx([0, 256 / (256 - 77)])


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5, 11)])
def test_any_shape_and_type_is_kept(shape):
    for dtype in (torch.float32, torch.bfloat16):
        outputs = Dropout(0.5)(torch.ones(shape, dtype=dtype))
        assert outputs.shape == shape and outputs.dtype is dtype


def test_equal_seeds_drop_equal_entries_and_others_do_not():
    def outputs(seed):
        torch.manual_seed(seed)
        return Dropout(0.5)(ones(100, 10))
    assert torch.equal(outputs(1), outputs(1)) and not torch.equal(outputs(1), outputs(2))


def test_the_gradient_passes_where_the_entry_did():
    x = ones(100, 10)
    outputs = Dropout(0.5)(x)
    outputs.sum().backward()
    assert torch.equal(x.grad, outputs.detach())


def test_nothing_is_dropped_when_evaluating_or_at_a_rate_of_zero():
    x = ones(10, 10)
    assert Dropout(0.5).eval()(x) is x and Dropout(0.0)(x) is x
