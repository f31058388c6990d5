"""The NumPy network equals the torch network, and its bits do not depend on the batch."""

import itertools

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.inference.cells import Layer
from charlm.inference.matmul import matmul
from charlm.inference.network import Network
from charlm.nn.network import Network as TorchNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

CELLS = [("lstm", "tanh"), ("gru", "tanh"), ("rnn", "tanh"), ("rnn", "relu")]
VOCABULARY, BATCH, TIME = 13, 4, 20

every_cell = pytest.mark.parametrize("cell, nonlinearity", CELLS)
every_network = pytest.mark.parametrize(
    "cell, nonlinearity, layers, tied",
    [(*cell, layers, tied) for cell, layers, tied in itertools.product(CELLS, (1, 2, 3), (False, True))])


def build_pair(cell, nonlinearity, *, layers, tied, hidden=10):
    """Return the same weights in torch and in NumPy; no bias is zero."""
    torch.manual_seed(3)
    config = ModelConfig(VOCABULARY, cell=cell, nonlinearity=nonlinearity, num_layers=layers,
                         embedding_size=hidden if tied else 6, hidden_size=hidden, tied=tied)
    network = TorchNetwork(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_((0.3 if parameter.dim() == 1 else 0.05) * torch.randn_like(parameter))
    return network, Network(config, {name: values.numpy() for name, values in network.weights().items()})


def make_tokens():
    return np.random.default_rng(4).integers(VOCABULARY, size=(BATCH, TIME))


@torch.no_grad()
def run_torch(network, tokens):
    logits, state = network.step(torch.from_numpy(tokens), network.start(len(tokens)))
    return logits.numpy(), [part[0].numpy() for layer in state.layers for part in layer]


def arrays_of(state):
    return [part for layer in state.layers for part in layer]


def close(one, other):
    return np.abs(one - other).max() < 1e-5


@every_network
def test_numpy_equals_torch_over_a_window(cell, nonlinearity, layers, tied):
    torch_network, numpy_network = build_pair(cell, nonlinearity, layers=layers, tied=tied)
    expected, expected_state = run_torch(torch_network, make_tokens())
    logits, state = numpy_network.step(make_tokens(), numpy_network.start(BATCH))
    assert logits.shape == (BATCH, TIME, VOCABULARY) and logits.dtype == np.float32
    assert close(logits, expected)
    assert all(map(close, arrays_of(state), expected_state))


@every_network
def test_numpy_equals_torch_token_by_token(cell, nonlinearity, layers, tied):
    torch_network, numpy_network = build_pair(cell, nonlinearity, layers=layers, tied=tied)
    expected, expected_state = run_torch(torch_network, make_tokens())
    state = numpy_network.start(BATCH)
    for at in range(TIME):
        logits, state = numpy_network.step(make_tokens()[:, at:at + 1], state)
        assert close(logits[:, 0], expected[:, at])
    assert all(map(close, arrays_of(state), expected_state))


LENGTHS = np.array([6, 1, 4, 3])


def make_sources():
    return np.random.default_rng(8).integers(9, size=(BATCH, LENGTHS.max()))


def assert_states_agree(numpy_state, torch_state):
    """Assert equal hidden states, memories and window tokens; a masked position may hold anything."""
    for part, other in zip(arrays_of(numpy_state), arrays_of(torch_state), strict=True):
        assert close(part, other[0].numpy())
    numpy_memory, torch_memory, visible = numpy_state.memory, torch_state.memory, ...
    if torch_memory.mask is not None:
        visible = torch_memory.mask.numpy()
        assert np.array_equal(numpy_memory.mask[:, 0] == 0, visible)
        assert close(numpy_memory.keys[visible], torch_memory.keys.numpy()[visible])
    assert close(numpy_memory.values[visible], torch_memory.values.numpy()[visible])
    assert (numpy_state.window_tokens is None) == (torch_state.window_tokens is None)
    if numpy_state.window_tokens is not None:
        assert np.array_equal(numpy_state.window_tokens, torch_state.window_tokens.numpy())


def assert_backends_agree(both, first_state, *, time=10):
    """Assert equal first states, and equal logits and states over a window at once and token by token."""
    tokens = make_tokens()[:, :time]
    torch_network, numpy_network = both["torch"], both["numpy"]
    torch_state, state = first_state(torch_network), first_state(numpy_network)
    assert_states_agree(state, torch_state)
    expected, torch_end = torch_network.step(tokens, torch_state)
    logits, end = numpy_network.step(tokens, state)
    assert logits.shape == (BATCH, time, VOCABULARY) and logits.dtype == np.float32
    assert close(logits, expected)
    assert_states_agree(end, torch_end)
    for at in range(time):
        logits, state = numpy_network.step(tokens[:, at:at + 1], state)
        assert close(logits[:, 0], expected[:, at])
    assert_states_agree(state, torch_end)


def test_numpy_equals_torch_after_sources_of_unequal_lengths(source_networks):
    assert_backends_agree(source_networks, lambda network: network.encode(make_sources(), LENGTHS))


# Rows and positions in four sources: one inside row 2, both ends of row 0 and, twice, one inside row 3; none in row 1.
POSITIONS = np.array([2, 0, 0, 3, 3]), np.array([1, 5, 0, 1, 1])


def test_numpy_equals_torch_from_positions_in_sources(source_networks):
    rows = POSITIONS[0][:BATCH], POSITIONS[1][:BATCH]             # one for each row of tokens
    assert_backends_agree(source_networks, lambda network: network.encode(make_sources(), LENGTHS, rows))


def test_numpy_equals_torch_over_several_windows(windowed_networks):
    assert_backends_agree(windowed_networks, lambda network: network.start(BATCH))


def assert_bits_do_not_depend_on_the_batch(network, together, steps):
    alone = [together.select([row]) for row in range(BATCH)]
    for at in range(steps):
        logits, together = network.step(make_tokens()[:, at:at + 1], together)
        for row in range(BATCH):
            alone_logits, alone[row] = network.step(make_tokens()[row:row + 1, at:at + 1], alone[row])
            assert np.array_equal(alone_logits[0], logits[row])
    assert len(np.unique(logits[:, 0], axis=0)) > 1         # the rows are not all the same row


def test_bits_after_a_source_do_not_depend_on_the_batch(source_networks):
    network = source_networks["numpy"]
    assert_bits_do_not_depend_on_the_batch(network, network.encode(make_sources(), LENGTHS), 3)


def test_bits_after_a_position_do_not_depend_on_the_batch(source_networks):
    network = source_networks["numpy"]
    together = network.encode(make_sources(), LENGTHS, (POSITIONS[0][:BATCH], POSITIONS[1][:BATCH]))
    assert_bits_do_not_depend_on_the_batch(network, together, 3)


def test_bits_over_several_windows_do_not_depend_on_the_batch(windowed_networks):
    network = windowed_networks["numpy"]
    _, state = network.step(make_tokens()[:, :network.config.window + 1], network.start(BATCH))
    assert_bits_do_not_depend_on_the_batch(network, state, 2 * network.config.window + 1)


@pytest.mark.parametrize("hidden", [64, 200])
@pytest.mark.parametrize("batch", [7, 64])
def test_bits_of_a_wide_network_with_attention_do_not_depend_on_the_batch(random_network, hidden, batch):
    network = random_network(VOCABULARY, hidden_size=hidden, source_vocabulary_size=9, encoder="bidirectional",
                             attention=True)
    rng = np.random.default_rng(6)
    tokens = rng.integers(VOCABULARY, size=(batch, 3))
    together = network.encode(rng.integers(9, size=(batch, 11)), rng.integers(1, 12, size=batch))
    alone = [together.select([row]) for row in range(batch)]
    for at in range(tokens.shape[1]):
        logits, together = network.step(tokens[:, at:at + 1], together)
        for row in range(batch):
            alone_logits, alone[row] = network.step(tokens[row:row + 1, at:at + 1], alone[row])
            assert np.array_equal(alone_logits[0], logits[row])


@every_cell
@pytest.mark.parametrize("hidden", [7, 64, 200])
@pytest.mark.parametrize("batch", [2, 7, 64])
def test_bits_do_not_depend_on_the_batch(cell, nonlinearity, hidden, batch):
    _, network = build_pair(cell, nonlinearity, layers=2, tied=False, hidden=hidden)
    tokens = np.random.default_rng(6).integers(VOCABULARY, size=(batch, 4))
    together, alone = network.start(batch), [network.start(1) for _ in range(batch)]
    for at in range(tokens.shape[1]):
        logits, together = network.step(tokens[:, at:at + 1], together)
        for row in range(batch):
            alone_logits, alone[row] = network.step(tokens[row:row + 1, at:at + 1], alone[row])
            assert np.array_equal(alone_logits[0], logits[row])
    assert len(np.unique(logits[:, 0], axis=0)) > 1         # the rows are not all the same row


@every_cell
def test_a_window_of_one_row_has_the_bits_of_any_row(cell, nonlinearity):
    layer, rng = build_pair(cell, nonlinearity, layers=1, tied=False, hidden=24)[1]._layers[0], np.random.default_rng(6)
    projected = rng.standard_normal((TIME, 1, layer.weight_hh.shape[1])).astype(np.float32)
    state = tuple(rng.standard_normal((1, 24)).astype(np.float32) for _ in range(layer.state_size))
    records = np.empty((2, TIME, 1, 24), np.float32)
    outputs, last = layer.run(projected.copy(), state, matmul, record=records[0])
    expected, expected_last = Layer.run(layer, projected.copy(), state, matmul, record=records[1])
    assert np.array_equal(outputs, expected) and np.array_equal(*records)
    assert all(map(np.array_equal, last, expected_last)) and len(last) == layer.state_size


@every_cell
def test_step_does_not_change_its_state(cell, nonlinearity):
    _, network = build_pair(cell, nonlinearity, layers=2, tied=False)
    _, state = network.step(make_tokens(), network.start(BATCH))
    before = [part.copy() for part in arrays_of(state)]
    for width in (1, 5):
        first, _ = network.step(make_tokens()[:, :width], state)
        second, _ = network.step(make_tokens()[:, :width], state)
        assert np.array_equal(first, second)
    assert all(map(np.array_equal, arrays_of(state), before))


@every_cell
def test_later_tokens_never_change_earlier_logits(cell, nonlinearity):
    _, network = build_pair(cell, nonlinearity, layers=2, tied=False)
    tokens = make_tokens()
    before, _ = network.step(tokens, network.start(BATCH))
    for at in range(TIME):
        changed = tokens.copy()
        changed[:, at:] = (changed[:, at:] + 1) % VOCABULARY
        after, _ = network.step(changed, network.start(BATCH))
        assert np.array_equal(after[:, :at], before[:, :at])
        assert (after[:, at] != before[:, at]).any()


def test_step_does_not_change_its_memory(source_networks):
    network = source_networks["numpy"]
    state = network.encode(make_sources(), LENGTHS)
    before = [part.copy() for part in (*arrays_of(state), state.memory.values)]
    for width in (1, 5):
        first, _ = network.step(make_tokens()[:, :width], state)
        second, _ = network.step(make_tokens()[:, :width], state)
        assert np.array_equal(first, second)
    assert all(map(np.array_equal, (*arrays_of(state), state.memory.values), before))


def test_selected_rows_keep_their_memory(source_network):
    rows = np.array([2, 0, 2])
    state = source_network.encode(make_sources(), LENGTHS)
    whole, _ = source_network.step(make_tokens(), state)
    selected, _ = source_network.step(make_tokens()[rows], state.select(rows))
    assert close(selected, whole[rows])
    assert not close(selected, whole[[0, 2, 0]])


def test_selected_positions_keep_their_memory(source_network):
    tokens, rows = np.tile(make_tokens()[0], (5, 1)), np.array([4, 1, 2, 0])
    state = source_network.encode(make_sources(), LENGTHS, POSITIONS)
    whole, _ = source_network.step(tokens, state)
    selected, _ = source_network.step(tokens[rows], state.select(rows))
    assert close(selected, whole[rows])
    assert not close(selected, whole[[1, 0, 0, 2]])


def logits_after_positions(source_network, sources, lengths, positions, tokens=None):
    """Return the logits of the same few tokens after each of the positions."""
    tokens = make_tokens()[:1, :6] if tokens is None else tokens
    state = source_network.encode(sources, lengths, positions)
    return source_network.step(np.repeat(tokens, len(positions[0]), axis=0), state)[0]


def test_positions_are_rows_in_order_and_may_repeat(source_network):
    logits = logits_after_positions(source_network, make_sources(), LENGTHS, POSITIONS)
    assert len(logits) == len(POSITIONS[0]) and close(logits[3], logits[4])
    order = [4, 0, 2, 2, 1]
    again = logits_after_positions(source_network, make_sources(), LENGTHS, tuple(part[order] for part in POSITIONS))
    assert close(again, logits[order])
    for one, other in itertools.combinations(range(4), 2):
        assert not close(logits[one], logits[other])        # neither row nor position is left out


def test_last_position_of_a_source_read_forwards_equals_the_whole_source(source_network):
    """The output at the last position has then read the whole source.

    In both directions, the backward half of that output has read one token only.
    """
    ends = np.arange(BATCH), LENGTHS - 1
    from_positions = source_network.step(make_tokens(), source_network.encode(make_sources(), LENGTHS, ends))[0]
    whole = source_network.step(make_tokens(), source_network.encode(make_sources(), LENGTHS))[0]
    if source_network.config.encoder != "bidirectional":
        assert close(from_positions, whole)
        return
    alone = LENGTHS == 1                                    # both directions have read the one token
    assert close(from_positions[alone], whole[alone])
    assert not any(close(from_positions[row], whole[row]) for row in np.flatnonzero(~alone))


def test_memory_of_a_position_holds_the_encoder_outputs(source_networks):
    """Without attention that is the output at the position, with attention all outputs of its source."""
    network, (rows, positions) = source_networks["numpy"], POSITIONS
    if network.config.encoder == "shared":
        outputs, _ = network._read_source(make_sources(), LENGTHS)
    else:
        outputs, _ = network._encoder(make_sources(), LENGTHS)
    memory = network.encode(make_sources(), LENGTHS, POSITIONS).memory
    if not network.config.attention:
        assert np.array_equal(memory.values, outputs[positions, rows][:, None])
        return
    for at, row in enumerate(rows):
        visible = memory.mask[at, 0] == 0
        assert visible.tolist() == [slot <= LENGTHS[row] for slot in range(1 + LENGTHS.max())]
        assert np.array_equal(memory.values[at, 1:1 + LENGTHS[row]], outputs[:LENGTHS[row], row])


def test_state_of_a_position_read_forwards_equals_that_of_the_cut_source(source_networks):
    """The cut source ends with the position. Read in both directions, the states differ."""
    network, (rows, positions) = source_networks["numpy"], POSITIONS
    from_positions = arrays_of(network.encode(make_sources(), LENGTHS, POSITIONS))
    cut = arrays_of(network.encode(make_sources()[rows], positions + 1))
    agree = all(map(close, from_positions, cut))
    assert agree == (network.config.encoder != "bidirectional")


def test_selected_rows_keep_their_window(windowed_network):
    rows, read = np.array([2, 0, 2]), windowed_network.config.window + 2
    _, state = windowed_network.step(make_tokens()[:, :read], windowed_network.start(BATCH))
    whole, _ = windowed_network.step(make_tokens()[:, read:], state)
    selected, _ = windowed_network.step(make_tokens()[rows, read:], state.select(rows))
    assert close(selected, whole[rows])


def test_select_returns_the_rows_in_order():
    _, network = build_pair("lstm", "tanh", layers=2, tied=False)
    _, state = network.step(make_tokens(), network.start(BATCH))
    for part, chosen in zip(arrays_of(state), arrays_of(state.select([2, 0, 2])), strict=True):
        assert np.array_equal(chosen, np.stack([part[2], part[0], part[2]]))
