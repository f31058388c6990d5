"""What a network carries between windows: selecting rows, joining, cutting off the past."""

import dataclasses

import pytest
import torch

from charlm.config import ModelConfig
from charlm.nn.network import Network
from charlm.nn.state import State

pytestmark = pytest.mark.usefixtures("one_thread")


def counted(rows):
    """Two layers of h and c whose values name layer, part and row."""
    return State(tuple(tuple(torch.tensor([[[100.0 * layer + 10 * part + row] * 2 for row in rows]])
                             for part in range(2)) for layer in range(2)))


def rows_of(state):
    """The row numbers that each part holds."""
    return [(part[0, :, 0] % 10).int().tolist() for layer in state.layers for part in layer]


def same(one, other):
    return all(torch.equal(a, b) for mine, yours in zip(one.layers, other.layers) for a, b in zip(mine, yours))


@pytest.mark.parametrize("wanted", [[0], [2, 0, 1], [1, 1, 1, 3], []])
def test_select_takes_these_rows_in_this_order(wanted):
    state = counted([0, 1, 2, 3])
    selected = state.select(torch.tensor(wanted, dtype=torch.long))
    assert rows_of(selected) == [wanted] * 4
    assert same(state, counted([0, 1, 2, 3]))
    assert [[int(part.max() // 10) for part in layer] for layer in state.select(torch.tensor([3])).layers] \
        == [[0, 1], [10, 11]]


def test_join_puts_the_rows_of_all_states_in_order():
    joined = State.join([counted([3, 1]), counted([0]), counted([2, 2])])
    assert rows_of(joined) == [[3, 1, 0, 2, 2]] * 4
    assert same(joined.select(torch.tensor([0, 1])), counted([3, 1]))


def test_detach_keeps_the_values_and_cuts_the_graph():
    network = Network(ModelConfig(5, hidden_size=4, embedding_size=3))
    _, state = network.step(torch.tensor([[1, 2, 3]]), network.start(1))
    assert all(part.requires_grad for layer in state.layers for part in layer)
    cut = state.detach()
    assert same(cut, state)
    assert not any(part.requires_grad for layer in cut.layers for part in layer)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@torch.no_grad()
def test_selected_rows_go_on_as_they_would_have(cell):
    torch.manual_seed(2)
    network = Network(ModelConfig(5, cell=cell, hidden_size=6, embedding_size=3))
    _, state = network.step(torch.tensor([[1, 2], [3, 4], [0, 0]]), network.start(3))
    tokens, rows = torch.tensor([[4, 1], [2, 2], [1, 0]]), torch.tensor([2, 0, 2])
    whole, _ = network.step(tokens, state)
    some, _ = network.step(tokens[rows], state.select(rows))
    assert torch.allclose(some, whole[rows], atol=1e-6)


def test_a_state_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        counted([0]).layers = ()
