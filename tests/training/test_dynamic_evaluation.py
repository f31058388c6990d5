"""Dynamic evaluation: it learns, it never predicts what it has learned from, and only the hidden state is reset."""

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.nn.network import Network
from charlm.training.dynamic_evaluation import SEGMENT, DynamicEvaluator

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 7


def build(cell="lstm", **architecture):
    torch.manual_seed(1)
    config = ModelConfig(SIZE, **{"cell": cell, "embedding_size": 6, "hidden_size": 10} | architecture)
    return config, {name: values.numpy() for name, values in Network(config).weights().items()}


def text(length, seed=0):
    return np.random.default_rng(seed).integers(SIZE, size=length)


def read(model, ids, pieces=(), starts=None, **rates):
    """Return the logits of all ids but the first, read piece by piece."""
    evaluator = DynamicEvaluator(*model, **rates)
    starts = np.zeros(len(ids) - 1, bool) if starts is None else starts
    borders = [0, *pieces, len(ids) - 1]
    return np.concatenate([evaluator.logits(ids[start:stop], ids[start + 1:stop + 1], starts[start:stop])
                           for start, stop in zip(borders, borders[1:], strict=False)])


def static(model, ids):
    config, weights = model
    network = Network(config)
    network.load_weights(weights)
    with torch.no_grad():
        return network.step(torch.from_numpy(ids[None, :-1]), network.start(1))[0][0].numpy()


@pytest.mark.parametrize("cell, architecture", [
    ("lstm", {}), ("gru", {"encoder": "bidirectional", "window": 24, "source_vocabulary_size": SIZE}),
    ("rnn", {"tied": True, "embedding_size": 10})])
def test_no_prediction_depends_on_its_target_or_what_follows(cell, architecture):
    model = build(cell, **architecture)
    ids = text(3 * SEGMENT + 5)
    before = read(model, ids)
    for at in (1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, len(ids) - 1):
        changed = ids.copy()
        changed[at] = (ids[at] + 1) % SIZE
        after = read(model, changed)
        assert np.array_equal(after[:at], before[:at])      # logits[at - 1] predict ids[at]
        assert at == len(ids) - 1 or not np.array_equal(after[at:], before[at:])


def test_what_was_scored_is_learned_from_after_each_segment():
    model, ids = build(), text(3 * SEGMENT + 1)
    adapted, fixed = read(model, ids), static(model, ids)
    assert np.allclose(adapted[:SEGMENT], fixed[:SEGMENT], atol=1e-6)
    assert not np.allclose(adapted[SEGMENT], fixed[SEGMENT], atol=1e-4)


def test_rates_of_zero_leave_the_model_as_it_is():
    model, ids = build(), text(3 * SEGMENT + 5)
    assert np.allclose(read(model, ids, rate=0, outer_rate=0), static(model, ids), atol=1e-6)


def test_a_repetitive_text_becomes_predictable():
    model, ids = build(), np.tile(np.arange(SIZE), 400)

    def loss(logits):
        return float(torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(ids[1:])))
    assert loss(read(model, ids, rate=3e-3, outer_rate=3e-3)) < 0.7 * loss(static(model, ids))


def test_the_pieces_of_a_text_do_not_matter():
    model, ids = build(), text(3 * SEGMENT + 5)
    assert np.allclose(read(model, ids, (1, 2, 40, 64, 70)), read(model, ids), atol=1e-5)


def test_a_new_text_starts_from_an_empty_state_with_what_was_learned():
    model, ids = build(), text(2 * SEGMENT + 1)
    at = SEGMENT + 9
    starts = np.arange(len(ids) - 1) == at
    logits = read(model, ids, starts=starts)
    others = ids.copy()
    others[SEGMENT + 1:at] = text(at - SEGMENT - 1, seed=1) # not yet learned from
    assert np.allclose(read(model, others, starts=starts)[at:], logits[at:], atol=1e-6)
    assert not np.allclose(static(model, ids[at:]), logits[at:], atol=1e-4)
    assert np.allclose(static(model, ids[at:]), read(model, ids, starts=starts, rate=0, outer_rate=0)[at:], atol=1e-6)


def test_the_weights_of_the_model_are_not_changed():
    model = build()
    before = {name: values.copy() for name, values in model[1].items()}
    read(model, text(3 * SEGMENT))
    assert all(np.array_equal(before[name], values) for name, values in model[1].items())
