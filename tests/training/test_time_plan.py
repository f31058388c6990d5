"""The plan for a given time: the width follows the time, the speed and the text."""

import pytest

from charlm.config import TrainingConfig
from charlm.training.deadline import Deadline
from charlm.training.time_plan import SIZES, best_text_size, relative_cost


def test_more_time_never_chooses_a_narrower_network():
    for tokens in (200_000, 1_000_000, 30_000_000):
        sizes = [best_text_size(tokens, passes, 256) for passes in (0.2, 1, 3, 10)]
        assert sizes == sorted(sizes) and sizes[0] < sizes[-1]


def test_a_larger_text_earns_a_wider_network_for_as_many_passes():
    sizes = [best_text_size(tokens, 5, 256) for tokens in (10_000, 100_000, 1_000_000, 10_000_000)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]


@pytest.mark.parametrize("measured", SIZES)
def test_the_choice_does_not_depend_on_which_width_was_measured(measured):
    passes = 4 * relative_cost(256) / relative_cost(measured)       # in the same time
    assert best_text_size(1_000_000, passes, measured) == best_text_size(1_000_000, 4, 256)


def test_a_model_records_only_the_lengths_decided_before_it_was_validated():
    config = TrainingConfig(steps=100, replan="20:90,50:80")
    assert [config.at(step).replan for step in (19, 20, 49, 50)] == ["", "20:90", "20:90", "20:90,50:80"]


def test_a_deadline_tolerates_more_the_further_away_it_is():
    deadline = Deadline(ends_at=100.0, seconds=100.0)
    assert deadline.new_length(0.0, step=20, length=110, seconds=1.0) is None
    assert deadline.new_length(90.0, step=80, length=95, seconds=1.0) == 90
    assert deadline.new_length(50.0, step=50, length=100, seconds=2.5) == 70
