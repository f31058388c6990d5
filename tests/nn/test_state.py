"""The state between windows: selecting, joining and resetting rows, and detaching from the past."""

import dataclasses

import pytest
import torch

from charlm.config import ModelConfig
from charlm.nn.network import Network
from charlm.nn.state import State

pytestmark = pytest.mark.usefixtures("one_thread")


def numbered_state(rows):
    """Return two layers of h and c whose values encode layer, array and row."""
    return State(tuple(tuple(torch.tensor([[[100.0 * layer + 10 * part + row] * 2 for row in rows]])
                             for part in range(2)) for layer in range(2)))


def rows_of(state):
    """Return the row numbers in each array."""
    return [(part[0, :, 0] % 10).int().tolist() for layer in state.layers for part in layer]


def same(one, other):
    return all(torch.equal(a, b) for first, second in zip(one.layers, other.layers, strict=True)
               for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("selected_rows", [[0], [2, 0, 1], [1, 1, 1, 3], []])
def test_select_returns_the_rows_in_order(selected_rows):
    state = numbered_state([0, 1, 2, 3])
    selected = state.select(torch.tensor(selected_rows, dtype=torch.long))
    assert rows_of(selected) == [selected_rows] * 4
    assert same(state, numbered_state([0, 1, 2, 3]))
    assert [[int(part.max() // 10) for part in layer] for layer in state.select(torch.tensor([3])).layers] \
        == [[0, 1], [10, 11]]


def test_join_keeps_the_rows_of_all_states_in_order():
    joined = State.join([numbered_state([3, 1]), numbered_state([0]), numbered_state([2, 2])])
    assert rows_of(joined) == [[3, 1, 0, 2, 2]] * 4
    assert same(joined.select(torch.tensor([0, 1])), numbered_state([3, 1]))


def test_detach_keeps_the_values_and_cuts_the_graph():
    network = Network(ModelConfig(5, hidden_size=4, embedding_size=3))
    _, state = network.step(torch.tensor([[1, 2, 3]]), network.start(1))
    assert all(part.requires_grad for layer in state.layers for part in layer)
    detached = state.detach()
    assert same(detached, state)
    assert not any(part.requires_grad for layer in detached.layers for part in layer)


@pytest.mark.parametrize("reset_rows", [[False, True, False], [True, True, True], [True, False, True]], ids=str)
def test_reset_empties_exactly_the_rows_that_are_true(reset_rows):
    state, empty = numbered_state([1, 2, 3]), numbered_state([7, 8, 9])
    after = state.reset(empty, torch.tensor(reset_rows))
    expected = [number + 6 * is_reset for number, is_reset in zip([1, 2, 3], reset_rows, strict=True)]
    assert rows_of(after) == [expected] * 4 and same(after, numbered_state(expected))
    assert same(state, numbered_state([1, 2, 3])) and same(empty, numbered_state([7, 8, 9]))


def test_reset_of_no_row_is_the_state_itself():
    state = numbered_state([1, 2])
    assert state.reset(numbered_state([7, 8]), torch.tensor([False, False])) is state


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@torch.no_grad()
def test_reset_row_starts_afresh_and_the_others_continue(cell):
    torch.manual_seed(2)
    network = Network(ModelConfig(5, cell=cell, hidden_size=6, embedding_size=3))
    _, state = network.step(torch.tensor([[1, 2], [3, 4], [0, 0]]), network.start(3))
    tokens = torch.tensor([[4, 1], [2, 2], [1, 0]])
    logits, _ = network.step(tokens, state.reset(network.start(3), torch.tensor([False, True, False])))
    carried, fresh = network.step(tokens, state)[0], network.step(tokens, network.start(3))[0]
    assert torch.equal(logits, torch.stack([carried[0], fresh[1], carried[2]]))
    assert not torch.allclose(carried[1], fresh[1], atol=1e-3)


def test_reset_passes_gradients_to_the_other_rows_only():
    old, new = (State(((torch.ones(1, 2, 3, requires_grad=True),),)) for _ in range(2))
    old.reset(new, torch.tensor([True, False])).layers[0][0].sum().backward()
    assert old.layers[0][0].grad[0, :, 0].tolist() == [0, 1] and new.layers[0][0].grad[0, :, 0].tolist() == [1, 0]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@torch.no_grad()
def test_selected_rows_continue_unchanged(cell):
    torch.manual_seed(2)
    network = Network(ModelConfig(5, cell=cell, hidden_size=6, embedding_size=3))
    _, state = network.step(torch.tensor([[1, 2], [3, 4], [0, 0]]), network.start(3))
    tokens, rows = torch.tensor([[4, 1], [2, 2], [1, 0]]), torch.tensor([2, 0, 2])
    whole, _ = network.step(tokens, state)
    some, _ = network.step(tokens[rows], state.select(rows))
    assert torch.allclose(some, whole[rows], atol=1e-6)


def with_memory(*, attention, window=0):
    """Return a network with a memory, and its state after three sources of unequal lengths or three rows of text."""
    torch.manual_seed(6)
    network = Network(ModelConfig(7, hidden_size=4, embedding_size=3, encoder="bidirectional",
                                  source_vocabulary_size=7, attention=attention, window=window))
    torch.nn.init.normal_(network.context.empty)
    tokens = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [2, 2, 2, 0]])
    state = network.start(3) if window else network.encode(tokens, torch.tensor([4, 2, 3]))
    return network, network.step(tokens, state)[1]


def tensors_of(state):
    """Return every tensor of a state with a memory, rows first."""
    memory = (state.memory.values, state.memory.keys, state.memory.mask, state.window_tokens)
    return [part[0] for layer in state.layers for part in layer] + [part for part in memory if part is not None]


every_memory = pytest.mark.parametrize("attention, window", [(False, 0), (True, 0), (False, 3), (True, 3)])


@every_memory
@torch.no_grad()
def test_select_returns_the_rows_of_the_memory_and_window(attention, window):
    _, state = with_memory(attention=attention, window=window)
    assert len(tensors_of(state)) == 4 + 1 + 2 * attention + bool(window)
    for selected_rows in ([0], [2, 0, 2, 1], []):
        selected = tensors_of(state.select(torch.tensor(selected_rows, dtype=torch.long)))
        for part, whole in zip(selected, tensors_of(state), strict=True):
            assert torch.equal(part, torch.stack([whole[row] for row in selected_rows]) if selected_rows else whole[:0])
    if not window or attention:
        assert not torch.equal(state.memory.values[0], state.memory.values[2])


@every_memory
@torch.no_grad()
def test_join_keeps_the_rows_of_memories_and_windows_in_order(attention, window):
    network, state = with_memory(attention=attention, window=window)
    rows = [torch.tensor(some) for some in ([2, 1], [0], [1, 1])]
    joined, order = State.join([state.select(some) for some in rows]), torch.cat(rows)
    for part, whole in zip(tensors_of(joined), tensors_of(state), strict=True):
        assert torch.equal(part, whole[order])
    tokens = torch.tensor([[3, 1, 5], [0, 0, 4], [6, 2, 2]])
    together, _ = network.step(tokens[order], joined)
    assert torch.allclose(together, network.step(tokens, state)[0][order], atol=1e-6)


@torch.no_grad()
def test_reset_keeps_the_memory_and_window():
    network, state = with_memory(attention=True, window=3)
    after = state.reset(network.start(3), torch.tensor([True, True, False]))
    assert after.memory is state.memory and after.window_tokens is state.window_tokens
    assert not any(part[0, :2].any() for layer in after.layers for part in layer)


@every_memory
def test_detach_also_detaches_the_memory(attention, window):
    network, state = with_memory(attention=attention, window=window)
    assert state.memory.values.requires_grad and (not attention or state.memory.keys.requires_grad)
    detached = state.detach()
    assert not any(part.requires_grad for part in tensors_of(detached))
    for part, whole in zip(tensors_of(detached), tensors_of(state), strict=True):
        assert torch.equal(part, whole)
    # Gradients from here on reach the decoder, but no longer the encoder.
    tokens = torch.tensor([[1], [2], [3]])
    network.step(tokens, detached)[0].sum().backward()
    assert network.head.weight.grad is not None
    assert all(parameter.grad is None for parameter in network.encoder.parameters())
    network.step(tokens, state)[0].sum().backward()
    assert all(parameter.grad.any() for parameter in network.encoder.parameters())


@pytest.mark.parametrize("attention", [False, True])
def test_full_window_is_encoded_after_the_detach(attention):
    """Truncation keeps the previous window, so the encoder learns from every window."""
    network, _ = with_memory(attention=attention, window=3)
    _, state = network.step(torch.tensor([[1, 2, 3]]), network.start(1))
    network.step(torch.tensor([[4, 5, 6]]), state.detach())[0].sum().backward()
    assert all(parameter.grad.any() for parameter in network.encoder.parameters())


def test_state_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        numbered_state([0]).layers = ()
