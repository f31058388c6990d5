"""Every epoch holds every example once, in an order that the seed and the step alone determine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.text.examples import PADDED_TOKENS
from charlm.training.batches import LINE_BLUR, PAIR_BLUR, Batches

LENGTHS = np.arange(400) % 100 + 1


def batches(lengths=LENGTHS, *, batch_size=4, seed=3, blur=LINE_BLUR):
    return Batches(np.array(lengths), batch_size=batch_size, seed=seed, blur=blur)


def epochs(source, examples, count):
    """Return the batches of the first epochs, as lists of indices."""
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
        assert sorted(index for batch in epoch for index in batch) == list(range(len(lengths)))
        for batch in epoch:
            padded_tokens = len(batch) * max(lengths[index] for index in batch)
            assert len(batch) == 1 or len(batch) <= batch_size and padded_tokens <= batch_size * PADDED_TOKENS
    assert source.in_first_epoch == len(found[0])


def test_batch_of_a_step_does_not_depend_on_the_steps_before():
    expected = [batches().at(step).tolist() for step in range(350)]             # fresh batches for each step
    source = batches()
    order = np.random.default_rng(0).permutation(350).tolist()
    for step in [*range(350), *reversed(range(350)), *order, 7, 7, 349, 349]:
        assert source.at(step).tolist() == expected[step]


def test_order_depends_on_epoch_and_seed():
    first, second = epochs(batches(), 400, 2)
    other, = epochs(batches(seed=4), 400, 1)
    for mine, yours in ((first, second), (first, other), (second, other)):
        assert mine != yours
        assert {frozenset(batch) for batch in mine} != {frozenset(batch) for batch in yours}


@pytest.mark.parametrize("blur", [LINE_BLUR, PAIR_BLUR])
def test_a_batch_has_similar_lengths_and_long_batches_come_at_any_time(blur):
    epoch, = epochs(batches(blur=blur), 400, 1)
    spans = [max(LENGTHS[batch]) - min(LENGTHS[batch]) for batch in epoch]
    assert max(spans) <= 2 * blur + 1
    means = np.array([LENGTHS[batch].mean() for batch in epoch])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5


def test_lines_of_a_batch_do_not_all_end_at_one_place():
    lengths = np.arange(2000) % 15 + 1
    epoch, = epochs(batches(lengths, batch_size=64), 2000, 1)
    assert np.mean([len(np.unique(lengths[batch])) for batch in epoch]) > 4


def test_number_of_batches_is_that_of_the_examples_rounded_up():
    assert batches(np.ones(401, int)).in_first_epoch == 101


@pytest.mark.parametrize("examples", [1, 3])
def test_fewer_examples_than_a_batch_are_one_batch_in_every_epoch(examples):
    source = batches(np.ones(examples, int), batch_size=8)
    assert all(sorted(source.at(step).tolist()) == list(range(examples)) for step in range(5))
