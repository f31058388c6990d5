"""Every epoch holds every example once, in an order of its own that follows from seed and step alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.text.examples import PADDED_TOKENS
from charlm.training.batches import Batches

LENGTHS = np.arange(400) % 100 + 1


def batches(lengths=LENGTHS, *, batch_size=4, seed=3):
    return Batches(np.array(lengths), batch_size=batch_size, seed=seed)


def epochs(source, examples, count):
    """The batches of the first epochs."""
    step, found = 0, []
    for _ in range(count):
        epoch = []
        while sum(map(len, epoch)) < examples:
            epoch.append(source.at(step).tolist())
            step += 1
        found.append(epoch)
    return found


@settings(deadline=None)
@given(lengths=st.lists(st.one_of(st.integers(1, 30), st.integers(1, 3 * PADDED_TOKENS)), min_size=1, max_size=60),
       batch_size=st.integers(1, 9), seed=st.integers(0, 2 ** 60))
def test_each_epoch_holds_every_example_exactly_once(lengths, batch_size, seed):
    source = batches(lengths, batch_size=batch_size, seed=seed)
    found = epochs(source, len(lengths), 3)
    for epoch in found:
        assert sorted(number for numbers in epoch for number in numbers) == list(range(len(lengths)))
        assert all(len(numbers) == 1 or len(numbers) <= batch_size and
                   len(numbers) * max(lengths[number] for number in numbers) <= batch_size * PADDED_TOKENS for numbers in epoch)
    assert source.in_first_epoch == len(found[0])


def test_a_step_is_the_same_in_whatever_order_steps_are_asked_for():
    expected = [batches().at(step).tolist() for step in range(350)]             # a fresh one each: no history
    source = batches()
    order = np.random.default_rng(0).permutation(350).tolist()
    for step in [*range(350), *reversed(range(350)), *order, 7, 7, 349, 349]:
        assert source.at(step).tolist() == expected[step]


def test_other_epochs_and_other_seeds_have_other_orders():
    first, second = epochs(batches(), 400, 2)
    other, = epochs(batches(seed=4), 400, 1)
    for mine, yours in ((first, second), (first, other), (second, other)):
        assert mine != yours
        assert {frozenset(numbers) for numbers in mine} != {frozenset(numbers) for numbers in yours}


def test_examples_of_like_length_stand_together_and_the_long_ones_not_at_the_end():
    epoch, = epochs(batches(), 400, 1)
    spans = [max(LENGTHS[numbers]) - min(LENGTHS[numbers]) for numbers in epoch]
    assert max(spans) <= 3
    means = np.array([LENGTHS[numbers].mean() for numbers in epoch])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5


def test_batches_are_as_many_as_the_examples_need():
    assert batches(np.ones(401, int)).in_first_epoch == 101


@pytest.mark.parametrize("examples", [1, 3])
def test_fewer_examples_than_a_batch_are_one_batch_for_ever(examples):
    source = batches(np.ones(examples, int), batch_size=8)
    assert all(sorted(source.at(step).tolist()) == list(range(examples)) for step in range(5))
