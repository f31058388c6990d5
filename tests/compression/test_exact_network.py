"""The exact network: the float network within the rounding of its weights, and no sum that could be rounded."""

import numpy as np
import pytest

from charlm.compression.exact_matrix import FLOAT32_BOUND, ExactMatrix
from charlm.compression.exact_network import ExactNetwork
from charlm.compression.exact_tables import EXP_ONE, EXP_STEPS, SIGMOID_STEPS, SIGMOID_ZERO, exp_table, sigmoid_table
from charlm.compression.frequencies import TOTAL, to_frequencies
from charlm.compression.predictor import Predictor
from charlm.errors import UsageError
from charlm.inference.network import Network
from tests.helpers.compression import model_of
from tests.helpers.pairwise import pairwise

CELLS = {"lstm": {}, "gru": {"cell": "gru"}, "tanh": {"cell": "rnn"}, "relu": {"cell": "rnn", "nonlinearity": "relu"}}
CASES = pairwise(cell=CELLS, layers=[1, 2, 3], tied=[False, True])


def nats_of(frequencies, tokens):
    return -np.log(frequencies[np.arange(len(tokens)), tokens] / TOTAL)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_loss_is_that_of_the_float_network(case):
    sizes = {"embedding_size": 24, "hidden_size": 24, "tied": case["tied"], "num_layers": case["layers"]}
    model = model_of(**sizes, **case["cell"])
    weights = {name: 0.3 * values for name, values in model.weights.items()}
    network, lanes = Network(model.config, weights), 20
    predictor = Predictor(type(model)(model.config, model.tokenizer, weights, {}), lanes=lanes)
    tokens = np.random.default_rng(1).integers(0, model.config.vocabulary_size, (lanes, 100))
    logits, _ = network.step(np.concatenate([np.full((lanes, 1), model.tokenizer.start_id), tokens[:, :-1]], 1),
                             network.start(lanes))
    expected = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, tokens[..., None], -1)[..., 0]
    found = []
    for step in tokens.T:
        found.append(nats_of(predictor.frequencies(), step))
        predictor.read(step)
    assert np.mean(found) == pytest.approx(expected.mean(), abs=0.001)
    assert np.abs(np.transpose(found) - expected).mean() < 0.03


@pytest.mark.parametrize("inputs, exact32", [(1040, True), (1041, False), (4000, False)])
def test_no_sum_of_products_can_reach_the_bound(inputs, exact32):
    rng = np.random.default_rng(0)
    worst = np.where(rng.random((3, inputs)) < 0.5, -1.0, 1.0).astype(np.float32)
    matrix = ExactMatrix(worst)
    assert (matrix.bound < FLOAT32_BOUND) == exact32 == matrix.fits_float32
    states = 127 * worst.T
    product = np.empty((3, 3), np.float32)
    matrix.multiply(states, product)
    expected = np.rint(127 * worst).astype(np.int64) @ states.astype(np.int64)
    assert (product == expected.astype(np.float32)).all() and product.max() == np.float32(127 * 127 * inputs)


def test_lanes_do_not_depend_on_each_other():
    model = model_of("byte")
    alone, together = (ExactNetwork(model.config, model.weights, lanes) for lanes in (1, 7))
    tokens = np.random.default_rng(2).integers(0, 256, (30, 7))
    for step in tokens:
        assert (together.step(step)[3] == alone.step(step[3:4])[0]).all()
    kept = together.step(tokens[0])[[5, 3]].copy()
    together.select([5, 3])
    assert (together.step(tokens[1, [5, 3]])[1] == [alone.step(token) for token in tokens[:2, 3:4]][1]).all()
    assert kept.any()


def test_tables_are_sigmoid_and_exponential():
    at = (np.arange(len(sigmoid_table())) - SIGMOID_ZERO) / SIGMOID_STEPS
    assert np.abs(sigmoid_table() - 1 / (1 + np.exp(-at))).max() < 1e-7
    powers = np.exp(-np.arange(len(exp_table())) / EXP_STEPS) * EXP_ONE
    assert np.abs(exp_table() - powers)[:-1].max() <= 1.01


@pytest.mark.parametrize("weights", [[[0, 0, 1]], [[1 << 40] * 5], [[1, 0, 1 << 40]], [list(range(9000))]])
def test_frequencies_add_up_and_none_is_zero(weights):
    weights = np.array(weights)
    found = to_frequencies(weights)
    assert found.sum() == TOTAL and found.min() >= 1
    assert np.abs(found / TOTAL - weights / weights.sum()).max() <= weights.shape[1] / TOTAL


def test_what_cannot_compress_is_refused():
    for values in (1e30, 1e-42):
        model = model_of()
        weights = {name: np.full_like(tensor, values) for name, tensor in model.weights.items()}
        if values > 1:
            with pytest.raises(UsageError, match="too large"):
                ExactNetwork(model.config, weights)
        else:
            ExactNetwork(model.config, weights).step(np.array([1]))
