"""Teacher forcing: a batch of rows has the loss of each row alone, token by token; padding does not count."""

import math

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.nn.network import Network
from charlm.training.teacher_forcing import IGNORED, encode_sources, inputs_and_targets, teacher_forced_loss

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 7
ROWS = [np.array(row) for row in ([6, 1, 2, 6], [6, 6], [6, 0, 5, 4, 3, 2, 6], [6, 3, 6])]
SOURCES = [np.array(ids) for ids in ([1, 2, 3], [4], [5, 0], [2, 2, 2, 2])]


def build(**architecture):
    torch.manual_seed(1)
    network = Network(ModelConfig(SIZE, cell="gru", embedding_size=5, hidden_size=8, **architecture))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


@torch.no_grad()
def log_probabilities(network, state, row):
    """Return log p (T, V) after each token but the last, reading one token at a time."""
    tables = []
    for token in row[:-1]:
        logits, state = network.step(torch.tensor([[token]]), state)
        tables.append(logits[0, 0].double().log_softmax(0))
    return torch.stack(tables).numpy()


def nats_alone(network, states=None):
    """Return the nats of every token of each row but the first, each row from its state; and all log p (T, V)."""
    states = states or [network.start(1) for _ in ROWS]
    tables = [log_probabilities(network, state, row) for state, row in zip(states, ROWS, strict=True)]
    nats = [-table[np.arange(len(table)), row[1:]] for table, row in zip(tables, ROWS, strict=True)]
    return np.concatenate(nats), np.concatenate(tables)


def test_loss_is_the_mean_over_all_tokens_of_each_row_alone():
    network = build()
    nats, _ = nats_alone(network)
    assert len(nats) == 3 + 1 + 6 + 2
    assert teacher_forced_loss(network, network.start(4), ROWS).item() == pytest.approx(nats.mean(), abs=1e-6)


def test_sum_covers_all_tokens():
    network = build()
    loss = teacher_forced_loss(network, network.start(4), ROWS, reduction="sum").item()
    assert loss == pytest.approx(nats_alone(network)[0].sum(), rel=1e-6)


def test_label_smoothing_spreads_a_share_evenly_over_all_tokens():
    network = build()
    nats, tables = nats_alone(network)
    loss = teacher_forced_loss(network, network.start(4), ROWS, label_smoothing=0.3).item()
    assert loss == pytest.approx(0.7 * nats.mean() - 0.3 * tables.mean(), abs=1e-6)


@pytest.mark.parametrize("encoder", ["shared", "stacked", "bidirectional"])
def test_each_row_starts_from_its_state(encoder):
    network = build(encoder=encoder, source_vocabulary_size=6, attention=True)
    states = [network.encode(torch.as_tensor(ids)[None], torch.tensor([len(ids)])) for ids in SOURCES]
    loss = teacher_forced_loss(network, encode_sources(network, SOURCES), ROWS).item()
    assert loss == pytest.approx(nats_alone(network, states)[0].mean(), abs=1e-5)


@pytest.mark.parametrize("encoder", ["shared", "bidirectional"])
def test_rows_for_positions_start_from_the_state_there(encoder):
    network = build(encoder=encoder, source_vocabulary_size=6)
    rows, positions = np.array([0, 0, 2, 3]), np.array([2, 0, 1, 3])
    states = [network.encode(torch.as_tensor(SOURCES[row])[None], torch.tensor([len(SOURCES[row])]),
                             (torch.tensor([0]), torch.tensor([position])))
              for row, position in zip(rows, positions, strict=True)]
    loss = teacher_forced_loss(network, encode_sources(network, SOURCES, (rows, positions)), ROWS).item()
    assert loss == pytest.approx(nats_alone(network, states)[0].mean(), abs=1e-5)


def test_an_empty_row_is_one_token():
    network = build()
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()
    loss = teacher_forced_loss(network, network.start(1), ROWS[1:2], reduction="sum").item()
    assert loss == pytest.approx(math.log(SIZE), rel=1e-6)


def test_inputs_omit_the_last_token_and_targets_the_first():
    inputs, targets = inputs_and_targets(ROWS[:2] + ROWS[3:], torch.device("cpu"))
    assert inputs.tolist() == [[6, 1, 2], [6, 0, 0], [6, 3, 0]]
    assert targets.tolist() == [[1, 2, 6], [6, IGNORED, IGNORED], [3, 6, IGNORED]]


def test_padding_has_no_gradient():
    """The gradient of a short row does not change when a long row is added whose loss is subtracted again."""
    network = build()
    gradients = []
    for rows in (ROWS[:1], [ROWS[0], ROWS[2]]):
        network.zero_grad()
        loss = teacher_forced_loss(network, network.start(len(rows)), rows, reduction="sum")
        if len(rows) > 1:
            loss = loss - teacher_forced_loss(network, network.start(1), rows[1:], reduction="sum")
        loss.backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(*gradients, strict=True))
