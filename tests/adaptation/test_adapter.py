"""An adapter predicts before it learns, token by token or block by block, and learns what repeats."""

import numpy as np
import pytest

from charlm.adaptation.adapter import BLOCK
from charlm.adaptation.exact import shares

OFF = {"head_rate": 0, "head_pull": 0, "count_weight": 0, "mixing_rate": 0}


def stepwise(adapter, task):
    """Return the weights (T, V) of one lane, read token by token."""
    weights = []
    for state, token in zip(task.states, task.tokens, strict=True):
        weights.append(adapter.distributions(state[None])[0])
        adapter.learn(np.array([token]))
    return np.array(weights)


def test_distributions_sum_to_one_and_are_positive(task):
    weights = stepwise(task.adapter(), task)
    assert weights.min() > 0 and np.abs(shares(weights).sum(axis=1) - 1).max() < 1e-9


def test_blocks_give_the_bits_of_single_tokens(task):
    weights = stepwise(task.adapter(), task)
    expected = np.log(weights.sum(axis=1)) - np.log(weights[np.arange(300), task.tokens])
    assert np.array_equal(task.adapter().nats(task.states, task.tokens), expected)
    adapter = task.adapter()
    pieces = [adapter.nats(task.states[at], task.tokens[at]) for at in (slice(0, 1), slice(1, 50), slice(50, 300))]
    assert np.array_equal(np.concatenate(pieces), expected)


@pytest.mark.parametrize("at", [0, 5, 31, 32, 100, 298])
def test_a_token_changes_no_prediction_up_to_its_position(task, at):
    before = stepwise(task.adapter(), task)
    task.tokens = task.tokens.copy()
    task.tokens[at] = (task.tokens[at] + 1) % 9
    after = stepwise(task.adapter(), task)
    assert np.array_equal(before[:at + 1], after[:at + 1])
    assert not np.array_equal(before[at + 1:], after[at + 1:])


def test_what_repeats_becomes_likely(task):
    nats = task.adapter().nats(task.states, task.tokens)
    assert nats[-60:].mean() < nats[:BLOCK].mean() / 2


@pytest.mark.parametrize("settings", [{"count_weight": 0.1, "mixing_rate": 0.1}, {"head_rate": 0.05}], ids=str)
def test_head_and_counts_each_learn_alone(task, settings):
    nats, unchanged = (task.adapter(**OFF | one).nats(task.states, task.tokens) for one in (settings, {}))
    assert np.array_equal(nats[:BLOCK], unchanged[:BLOCK])
    assert nats[BLOCK:].mean() < unchanged[BLOCK:].mean() - 0.05


def test_with_every_rate_zero_the_head_predicts_as_it_is(task):
    nats = task.adapter(**OFF).nats(task.states, task.tokens)
    logits = task.states / 127 @ task.head.T.astype(float) + task.bias
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(300), task.tokens]
    assert np.abs(nats - expected).max() < 1e-5


def test_lanes_learn_together_and_keep_their_contexts_apart(task):
    lanes, steps = 4, 75
    adapter = task.adapter(lanes)
    states, tokens = task.states.reshape(lanes, steps, -1), task.tokens.reshape(lanes, steps)
    first = []
    for step in range(steps):
        first.append(adapter.distributions(states[:, step])[0])
        adapter.learn(tokens[:, step])
    alone = stepwise(task.adapter(), task)
    assert np.array_equal(first[:BLOCK // lanes], alone[:BLOCK // lanes])
    assert not np.array_equal(first[BLOCK // lanes], alone[BLOCK // lanes])


def test_texts_start_without_context_and_with_what_was_learned(task):
    one = task.adapter()
    starts = np.arange(300) % 20 == 0
    nats = one.nats(task.states, task.tokens, starts)
    other, expected = task.adapter(), []
    for at in range(0, 300, 20):
        other.restart()
        expected.append(other.nats(task.states[at:at + 20], task.tokens[at:at + 20]))
    assert np.array_equal(nats, np.concatenate(expected))
    assert not np.array_equal(nats, task.adapter().nats(task.states, task.tokens))


def test_a_large_vocabulary_learns_too(make_task):
    task = make_task(size=70_000, length=100)
    nats = task.adapter().nats(task.states, task.tokens)
    assert nats[-20:].mean() < nats[:BLOCK].mean() / 2


def test_learn_needs_a_prediction(task):
    with pytest.raises(ValueError, match="follows"):
        task.adapter().learn(np.array([1]))
