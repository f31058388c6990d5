"""The torch network behind the adapter gives the logits and scores of the NumPy network.

Not here: the equality of every architecture in torch and NumPy (tests/inference/test_network.py).
"""

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.inference.classification import Classifier
from charlm.inference.line_scoring import make_scorer
from charlm.inference.matmul import matmul
from charlm.inference.network import Network as NumpyNetwork
from charlm.inference.scoring import score_rows, teacher_forced_nats
from charlm.nn.numpy_adapter import NumpyAdapter
from charlm.text.labels import Labels
from charlm.text.tokenizers.registry import train

pytestmark = pytest.mark.usefixtures("one_thread")

LETTERS = train("char", ["abc\n"], vocabulary_size=None)      # 5 ids
LABELS = Labels(("one", "two"), (3, 1))
ARCHITECTURES = [{}, {"cell": "gru"}, {"cell": "rnn", "tied": True, "hidden_size": 5},
                 {"encoder": "bidirectional", "window": 3}, {"encoder": "stacked", "window": 4, "attention": True}]


def build_both(size=LETTERS.size, **shape):
    """Return the same weights in NumPy and in torch."""
    shape = {"num_layers": 2, "embedding_size": 5, "hidden_size": 8} | shape
    if shape.get("window"):
        shape["source_vocabulary_size"] = size
    config = ModelConfig(size, **shape)
    rng = np.random.default_rng(4)
    weights = {name: (0.5 * rng.standard_normal(shape)).astype(np.float32)
               for name, shape in config.parameter_shapes().items()}
    return NumpyNetwork(config, weights, matmul=matmul), NumpyAdapter(config, weights, "cpu")


def make_tokens(*shape, size=LETTERS.size):
    return np.random.default_rng(5).integers(0, size, shape)


@pytest.mark.parametrize("shape", ARCHITECTURES, ids=str)
@pytest.mark.parametrize("sizes", [[7], [1, 1, 1], [4, 1, 9]], ids=str)
def test_logits_equal_the_numpy_network(shape, sizes):
    networks = build_both(**shape)
    states, ids = [network.start(3) for network in networks], make_tokens(3, sum(sizes))
    for start, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True):
        results = [network.step(ids[:, start:start + size], state)
                   for network, state in zip(networks, states, strict=True)]
        (expected, _), (logits, _) = results
        assert isinstance(logits, np.ndarray) and (logits.dtype, logits.shape) == (np.float32, (3, size, 5))
        assert np.allclose(logits, expected, atol=1e-5)
        states = [state for _, state in results]


@pytest.mark.parametrize("encoder", ["shared", "stacked", "bidirectional"])
@pytest.mark.parametrize("positions", [None, (np.array([0, 0, 1]), np.array([1, 3, 0]))], ids=["ends", "positions"])
def test_encoded_sources_equal_the_numpy_network(encoder, positions):
    source, lengths = make_tokens(2, 4, size=6), np.array([4, 2])
    networks = build_both(encoder=encoder, attention=True, source_vocabulary_size=6)
    ids = make_tokens(3 if positions else 2, 5)
    expected, logits = (network.step(ids, network.encode(source, lengths, positions))[0] for network in networks)
    assert np.allclose(logits, expected, atol=1e-5)


def test_tokens_need_not_be_contiguous():
    ids = make_tokens(6, 8)[::-2, 1::2]
    expected, logits = (network.step(ids, network.start(3))[0] for network in build_both())
    assert np.allclose(logits, expected, atol=1e-5)


def test_step_has_no_dropout_and_no_gradients():
    _, network = build_both()
    ids = make_tokens(2, 5)
    first, again = (network.step(ids, network.start(2)) for _ in range(2))
    assert np.array_equal(first[0], again[0])
    assert not any(part.requires_grad for layer in first[1].layers for part in layer)


# Scores


def make_rows(*lengths):
    return [make_tokens(length) for length in lengths]


@pytest.mark.parametrize("shape", ARCHITECTURES, ids=str)
def test_scores_of_rows_of_unequal_lengths_equal_the_numpy_network(shape):
    numpy_network, adapter = build_both(**shape)
    rows = make_rows(1, 9, 2, 700, 30, 2, 1)                  # some end long before others, one takes two windows
    expected, nats = (score_rows(network, LETTERS, rows) for network in (numpy_network, adapter))
    for one, other, row in zip(expected, nats, rows, strict=True):
        assert len(other) == len(row) - 1 and other == pytest.approx(one, abs=1e-5)


def test_scores_of_targets_equal_the_numpy_network():
    source, lengths = make_tokens(4, 5, size=6), np.array([5, 1, 3, 2])
    scores = [teacher_forced_nats(network, LETTERS, make_rows(3, 0, 40, 7), network.encode(source, lengths))
              for network in build_both(6, encoder="bidirectional", attention=True, source_vocabulary_size=6)]
    assert scores[0][1] == scores[1][1] == 3 + 0 + 40 + 7 + 4
    assert scores[1][0] == pytest.approx(scores[0][0], abs=54e-5)


LINES = ["abc", "", "c" * 40, "b?a", "a"]


@pytest.mark.parametrize("is_lines, labels, carry", [
    (False, None, False), (False, None, True), (True, None, False), (True, LABELS, False)])
def test_scores_of_lines_equal_the_numpy_network(is_lines, labels, carry):
    lines = [*LINES, "two\tcab", "one\t"] if labels else [line + "\n" for line in LINES]
    found = []
    for network in build_both(LETTERS.size + is_lines, labels=len(labels or ())):
        scorer = make_scorer(network, LETTERS, labels, lines=is_lines, carry=carry)
        found.append(scorer.score(lines))
    for one, other in zip(*found, strict=True):
        assert (one.text, one.ids.tolist()) == (other.text, other.ids.tolist())
        assert other.nats == pytest.approx(one.nats, abs=1e-5)


def test_posteriors_equal_the_numpy_network():
    expected, found = (Classifier(network, LETTERS, LABELS).posteriors(LINES)
                       for network in build_both(LETTERS.size + 1, labels=2))
    assert found == pytest.approx(expected, abs=1e-5) and np.ptp(expected[:, 0]) > 0.01


def test_gradient_modes_of_torch_are_unchanged():
    _, network = build_both()
    network.step(make_tokens(1, 3), network.start(1))
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
