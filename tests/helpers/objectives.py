"""What every objective promises, whatever its examples: assertions that the tests of several objectives share."""

import pytest
import torch


def never():
    """Never interrupt a validation."""
    return False


def assert_loss_depends_on_the_step_alone(first, second):
    """Assert that two equal trainers have equal losses at equal steps, in any order and after other random draws."""
    expected = [first.objective.loss(step).item() for step in range(6)]
    torch.rand(3)
    assert [second.objective.loss(step).item() for step in reversed(range(6))] == expected[::-1]
    assert len(set(expected)) > 1


def assert_validation_changes_nothing(plain, watched):
    """Assert that of two equal trainers, with dropout, the one that validates at each step learns the same."""
    torch.manual_seed(0)
    expected = [plain.update(step) for step in range(8)]
    torch.manual_seed(0)
    seen = []
    for step in range(8):
        before = watched.network.weights()
        assert watched.objective.validate(never).finite
        assert watched.network.training
        assert all(torch.equal(values, before[name]) for name, values in watched.network.weights().items())
        seen.append(watched.update(step))
    assert seen == expected


def assert_mode_is_restored(trainer):
    """Assert that the network is in training mode again after an interrupted validation and after a failed one."""
    assert not trainer.objective.validate(lambda: True).finite and trainer.network.training

    def broken():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        trainer.objective.validate(broken)
    assert trainer.network.training
