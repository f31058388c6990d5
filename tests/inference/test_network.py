"""The network in NumPy against the same in torch, and the independence of a batch's rows."""

import itertools

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
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
    """The same weights in torch and in NumPy; every bias differs from zero."""
    torch.manual_seed(3)
    config = ModelConfig(VOCABULARY, cell=cell, nonlinearity=nonlinearity, num_layers=layers,
                         embedding_size=hidden if tied else 6, hidden_size=hidden, tied=tied)
    network = TorchNetwork(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_((0.3 if parameter.dim() == 1 else 0.05) * torch.randn_like(parameter))
    return network, Network(config, {name: values.numpy() for name, values in network.weights().items()})


def some_tokens():
    return np.random.default_rng(4).integers(VOCABULARY, size=(BATCH, TIME))


@torch.no_grad()
def torchs(network, tokens):
    logits, state = network.step(torch.from_numpy(tokens), network.start(len(tokens)))
    return logits.numpy(), [part[0].numpy() for layer in state.layers for part in layer]


def parts_of(state):
    return [part for layer in state.layers for part in layer]


def close(one, other):
    return np.abs(one - other).max() < 1e-5


@every_network
def test_numpy_equals_torch_over_a_window(cell, nonlinearity, layers, tied):
    theirs, ours = build_pair(cell, nonlinearity, layers=layers, tied=tied)
    expected, expected_state = torchs(theirs, some_tokens())
    logits, state = ours.step(some_tokens(), ours.start(BATCH))
    assert logits.shape == (BATCH, TIME, VOCABULARY) and logits.dtype == np.float32
    assert close(logits, expected)
    assert all(map(close, parts_of(state), expected_state))


@every_network
def test_numpy_equals_torch_token_by_token(cell, nonlinearity, layers, tied):
    theirs, ours = build_pair(cell, nonlinearity, layers=layers, tied=tied)
    expected, expected_state = torchs(theirs, some_tokens())
    state = ours.start(BATCH)
    for at in range(TIME):
        logits, state = ours.step(some_tokens()[:, at:at + 1], state)
        assert close(logits[:, 0], expected[:, at])
    assert all(map(close, parts_of(state), expected_state))


LENGTHS = np.array([6, 1, 4, 3])


def some_sources():
    return np.random.default_rng(8).integers(9, size=(BATCH, LENGTHS.max()))


def assert_states_agree(ours, theirs):
    """Layers, memory where there is something to remember, and what was read of the window."""
    for part, other in zip(parts_of(ours), parts_of(theirs), strict=True):
        assert close(part, other[0].numpy())
    mine, yours, there = ours.memory, theirs.memory, ...
    if yours.mask is not None:
        there = yours.mask.numpy()
        assert np.array_equal(mine.mask[:, 0] == 0, there)
        assert close(mine.keys[there], yours.keys.numpy()[there])
    assert close(mine.values[there], yours.values.numpy()[there])
    assert (ours.window_tokens is None and theirs.window_tokens is None) or np.array_equal(ours.window_tokens, theirs.window_tokens.numpy())


def assert_halves_agree(both, begin, *, time=10):
    """In what begins, over a window at once, and over the same token by token."""
    tokens = some_tokens()[:, :time]
    (theirs, their_state), (ours, state) = ((both[half], begin(both[half])) for half in ("torch", "numpy"))
    assert_states_agree(state, their_state)
    expected, their_end = theirs.step(tokens, their_state)
    logits, end = ours.step(tokens, state)
    assert logits.shape == (BATCH, time, VOCABULARY) and logits.dtype == np.float32
    assert close(logits, expected)
    assert_states_agree(end, their_end)
    for at in range(time):
        logits, state = ours.step(tokens[:, at:at + 1], state)
        assert close(logits[:, 0], expected[:, at])
    assert_states_agree(state, their_end)


def test_numpy_equals_torch_after_sources_of_unequal_lengths(both_readers):
    assert_halves_agree(both_readers, lambda network: network.encode(some_sources(), LENGTHS))


# Of four sources, the middle of one, both ends of another and, twice, a place within a third; not of the second.
PLACES = np.array([2, 0, 0, 3, 3]), np.array([1, 5, 0, 1, 1])


def test_numpy_equals_torch_begun_from_places_in_sources(both_readers):
    rows = PLACES[0][:BATCH], PLACES[1][:BATCH]             # a token for each
    assert_halves_agree(both_readers, lambda network: network.encode(some_sources(), LENGTHS, rows))


def test_numpy_equals_torch_over_a_stream_of_several_windows(both_streams):
    assert_halves_agree(both_streams, lambda network: network.start(BATCH))


def assert_bits_do_not_depend_on_the_batch(network, together, steps):
    alone = [together.select([row]) for row in range(BATCH)]
    for at in range(steps):
        logits, together = network.step(some_tokens()[:, at:at + 1], together)
        for row in range(BATCH):
            own, alone[row] = network.step(some_tokens()[row:row + 1, at:at + 1], alone[row])
            assert np.array_equal(own[0], logits[row])
    assert len(np.unique(logits[:, 0], axis=0)) > 1         # the rows are not all the same row


def test_a_rows_bits_after_its_source_do_not_depend_on_the_batch(both_readers):
    network = both_readers["numpy"]
    assert_bits_do_not_depend_on_the_batch(network, network.encode(some_sources(), LENGTHS), 3)


def test_a_places_bits_do_not_depend_on_the_batch_as_it_is_written(both_readers):
    network = both_readers["numpy"]
    together = network.encode(some_sources(), LENGTHS, (PLACES[0][:BATCH], PLACES[1][:BATCH]))
    assert_bits_do_not_depend_on_the_batch(network, together, 3)


def test_a_rows_bits_over_several_windows_do_not_depend_on_the_batch(both_streams):
    network = both_streams["numpy"]
    _, state = network.step(some_tokens()[:, :network.config.window + 1], network.start(BATCH))
    assert_bits_do_not_depend_on_the_batch(network, state, 2 * network.config.window + 1)


@pytest.mark.parametrize("hidden", [64, 200])
@pytest.mark.parametrize("batch", [7, 64])
def test_a_wide_rows_bits_under_attention_do_not_depend_on_the_batch(random_network, hidden, batch):
    network = random_network(VOCABULARY, hidden_size=hidden, source_vocabulary_size=9, encoder="bidirectional",
                             attention=True)
    chance = np.random.default_rng(6)
    tokens = chance.integers(VOCABULARY, size=(batch, 3))
    together = network.encode(chance.integers(9, size=(batch, 11)), chance.integers(1, 12, size=batch))
    alone = [together.select([row]) for row in range(batch)]
    for at in range(tokens.shape[1]):
        logits, together = network.step(tokens[:, at:at + 1], together)
        for row in range(batch):
            own, alone[row] = network.step(tokens[row:row + 1, at:at + 1], alone[row])
            assert np.array_equal(own[0], logits[row])


@every_cell
@pytest.mark.parametrize("hidden", [7, 64, 200])
@pytest.mark.parametrize("batch", [2, 7, 64])
def test_a_rows_bits_do_not_depend_on_the_batch(cell, nonlinearity, hidden, batch):
    _, network = build_pair(cell, nonlinearity, layers=2, tied=False, hidden=hidden)
    tokens = np.random.default_rng(6).integers(VOCABULARY, size=(batch, 4))
    together, alone = network.start(batch), [network.start(1) for _ in range(batch)]
    for at in range(tokens.shape[1]):
        logits, together = network.step(tokens[:, at:at + 1], together)
        for row in range(batch):
            own, alone[row] = network.step(tokens[row:row + 1, at:at + 1], alone[row])
            assert np.array_equal(own[0], logits[row])
    assert len(np.unique(logits[:, 0], axis=0)) > 1         # the rows are not all the same row


@every_cell
def test_step_leaves_the_state_it_was_given(cell, nonlinearity):
    _, network = build_pair(cell, nonlinearity, layers=2, tied=False)
    _, state = network.step(some_tokens(), network.start(BATCH))
    before = [part.copy() for part in parts_of(state)]
    for width in (1, 5):
        first, _ = network.step(some_tokens()[:, :width], state)
        second, _ = network.step(some_tokens()[:, :width], state)
        assert np.array_equal(first, second)
    assert all(map(np.array_equal, parts_of(state), before))


@every_cell
def test_later_tokens_leave_earlier_logits_bit_identical(cell, nonlinearity):
    _, network = build_pair(cell, nonlinearity, layers=2, tied=False)
    tokens = some_tokens()
    before, _ = network.step(tokens, network.start(BATCH))
    for at in range(TIME):
        changed = tokens.copy()
        changed[:, at:] = (changed[:, at:] + 1) % VOCABULARY
        after, _ = network.step(changed, network.start(BATCH))
        assert np.array_equal(after[:, :at], before[:, :at])
        assert (after[:, at] != before[:, at]).any()


def test_step_leaves_the_memory_it_was_given(both_readers):
    network = both_readers["numpy"]
    state = network.encode(some_sources(), LENGTHS)
    before = [part.copy() for part in (*parts_of(state), state.memory.values)]
    for width in (1, 5):
        first, _ = network.step(some_tokens()[:, :width], state)
        second, _ = network.step(some_tokens()[:, :width], state)
        assert np.array_equal(first, second)
    assert all(map(np.array_equal, (*parts_of(state), state.memory.values), before))


def test_selected_rows_bring_their_memory(reader):
    rows = np.array([2, 0, 2])
    state = reader.encode(some_sources(), LENGTHS)
    whole, _ = reader.step(some_tokens(), state)
    some, _ = reader.step(some_tokens()[rows], state.select(rows))
    assert close(some, whole[rows])
    assert not close(some, whole[[0, 2, 0]])


def test_selected_places_bring_their_memory(reader):
    tokens, rows = np.tile(some_tokens()[0], (5, 1)), np.array([4, 1, 2, 0])
    state = reader.encode(some_sources(), LENGTHS, PLACES)
    whole, _ = reader.step(tokens, state)
    some, _ = reader.step(tokens[rows], state.select(rows))
    assert close(some, whole[rows])
    assert not close(some, whole[[1, 0, 0, 2]])


def begun_from(reader, sources, lengths, positions, tokens=None):
    """Logits of the same few tokens after each of the positions."""
    tokens = some_tokens()[:1, :6] if tokens is None else tokens
    state = reader.encode(sources, lengths, positions)
    return reader.step(np.repeat(tokens, len(positions[0]), axis=0), state)[0]


def test_places_are_rows_in_their_order_and_may_repeat(reader):
    logits = begun_from(reader, some_sources(), LENGTHS, PLACES)
    assert len(logits) == len(PLACES[0]) and close(logits[3], logits[4])
    order = [4, 0, 2, 2, 1]
    again = begun_from(reader, some_sources(), LENGTHS, tuple(part[order] for part in PLACES))
    assert close(again, logits[order])
    for one, other in itertools.combinations(range(4), 2):
        assert not close(logits[one], logits[other])        # neither row nor position is left out


def test_a_place_at_the_end_of_a_source_read_forwards_is_its_whole_reading(reader):
    """What a forward reader made of a source is its last output. Not so in both directions: there the
    backward half of the last output has read one token, that of the encoder's end has read all."""
    ends = np.arange(BATCH), LENGTHS - 1
    placed = reader.step(some_tokens(), reader.encode(some_sources(), LENGTHS, ends))[0]
    whole = reader.step(some_tokens(), reader.encode(some_sources(), LENGTHS))[0]
    if reader.config.encoder != "bidirectional":
        assert close(placed, whole)
        return
    alone = LENGTHS == 1                                    # both halves have read the one token
    assert close(placed[alone], whole[alone])
    assert not any(close(placed[row], whole[row]) for row in np.flatnonzero(~alone))


def test_the_memory_of_a_place_is_what_the_encoder_made_of_it(both_readers):
    """Without attention the place's own output; with it all outputs of its source, in the order of positions."""
    network, (rows, positions) = both_readers["numpy"], PLACES
    if network.config.encoder == "shared":
        outputs, _ = network._read_source(some_sources(), LENGTHS)
    else:
        outputs, _ = network._encoder(some_sources(), LENGTHS)
    memory = network.encode(some_sources(), LENGTHS, PLACES).memory
    if not network.config.attention:
        assert np.array_equal(memory.values, outputs[positions, rows][:, None])
        return
    for at, row in enumerate(rows):
        present = memory.mask[at, 0] == 0
        assert present.tolist() == [slot <= LENGTHS[row] for slot in range(1 + LENGTHS.max())]
        assert np.array_equal(memory.values[at, 1:1 + LENGTHS[row]], outputs[:LENGTHS[row], row])


def test_a_bridge_begins_at_the_place_and_a_shared_decoder_where_it_had_read_to(both_readers):
    """The recurrent state of a place is the one begun after the source up to it, if it is read forwards."""
    network, (rows, positions) = both_readers["numpy"], PLACES
    placed = parts_of(network.encode(some_sources(), LENGTHS, PLACES))
    cut = parts_of(network.encode(some_sources()[rows], positions + 1))
    agree = all(map(close, placed, cut))
    assert agree == (network.config.encoder != "bidirectional")


def test_selected_rows_of_a_stream_bring_what_they_read(stream):
    rows, read = np.array([2, 0, 2]), stream.config.window + 2
    _, state = stream.step(some_tokens()[:, :read], stream.start(BATCH))
    whole, _ = stream.step(some_tokens()[:, read:], state)
    some, _ = stream.step(some_tokens()[rows, read:], state.select(rows))
    assert close(some, whole[rows])


def test_select_takes_these_rows_in_this_order():
    _, network = build_pair("lstm", "tanh", layers=2, tied=False)
    _, state = network.step(some_tokens(), network.start(BATCH))
    for part, chosen in zip(parts_of(state), parts_of(state.select([2, 0, 2]))):
        assert np.array_equal(chosen, np.stack([part[2], part[0], part[2]]))
