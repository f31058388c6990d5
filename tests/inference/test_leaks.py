"""No prediction sees what comes after it, and every one sees what it may; in torch and in NumPy."""

import dataclasses

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("one_thread")

BATCH, TIME, VOCABULARY = 3, 10, 13         # of windows of three tokens, three whole ones and a bit
CHANCE = np.random.default_rng(2)
TOKENS = CHANCE.integers(VOCABULARY, size=(BATCH, TIME))
SOURCES, LENGTHS = CHANCE.integers(9, size=(BATCH, 5)), np.array([5, 2, 4])


def like(given, values):
    """The values as a tensor where a tensor is given."""
    return values if isinstance(given, np.ndarray) else given.new_tensor(values)


def assert_no_leak(network, state):
    """Changing the tokens from any place on leaves every logit before it, and changes those at it."""
    before, _ = network.step(TOKENS, state)
    for at in range(TIME):
        changed = TOKENS.copy()
        changed[:, at:] = (changed[:, at:] + 1 + np.arange(TIME - at) % 3) % VOCABULARY
        after, _ = network.step(changed, state)
        assert np.array_equal(after[:, :at], before[:, :at])
        assert (after[:, at] != before[:, at]).any(axis=1).all()


def test_later_tokens_leave_earlier_logits_bit_identical_after_a_source(reader):
    assert_no_leak(reader, reader.encode(SOURCES, LENGTHS))


def test_later_tokens_leave_earlier_logits_bit_identical_after_a_place(reader):
    assert_no_leak(reader, reader.encode(SOURCES, LENGTHS, (np.array([0, 2, 0]), np.array([1, 3, 4]))))


def test_a_place_sees_both_sides_where_it_may_and_one_where_it_cannot(reader):
    """A reader in one direction without attention has not read what follows a place; all others have."""
    place, width = 2, SOURCES.shape[1]
    positions, both = (np.array([0]), np.array([place])), (
        reader.config.encoder == "bidirectional" or reader.config.attention)
    before, _ = reader.step(TOKENS[:1, :1], reader.encode(SOURCES[:1], LENGTHS[:1], positions))
    seen = []
    for at in range(width):
        changed = SOURCES[:1].copy()
        changed[:, at] = (changed[:, at] + 1) % 9
        after, _ = reader.step(TOKENS[:1, :1], reader.encode(changed, LENGTHS[:1], positions))
        seen.append((after != before).any())
    assert seen == [both or at <= place for at in range(width)]


def test_a_places_own_reading_has_both_sides_of_it_only_in_both_directions(reader):
    """Of the recurrent state that writing begins from, whatever attention sees beside it."""
    place, positions = 2, (np.array([0]), np.array([2]))

    def begun(source):
        state = reader.encode(source, LENGTHS[:1], positions)
        return np.concatenate([np.ravel(part) for layer in state.layers for part in layer])

    before, seen = begun(SOURCES[:1]), []
    for at in range(SOURCES.shape[1]):
        changed = SOURCES[:1].copy()
        changed[:, at] = (changed[:, at] + 1) % 9
        seen.append((begun(changed) != before).any())
    assert seen == [at <= place or reader.config.encoder == "bidirectional" for at in range(SOURCES.shape[1])]


def test_a_place_sees_no_other_source(reader):
    positions = np.array([0, 0, 1]), np.array([0, 4, 1])
    before, _ = reader.step(TOKENS[:, :3], reader.encode(SOURCES, LENGTHS, positions))
    changed = SOURCES.copy()
    changed[1:] = (changed[1:] + 1) % 9
    after, _ = reader.step(TOKENS[:, :3], reader.encode(changed, LENGTHS, positions))
    assert np.array_equal(after[:2], before[:2]) and (after[2] != before[2]).any()


def test_later_tokens_leave_earlier_logits_bit_identical_in_a_stream(stream):
    assert_no_leak(stream, stream.start(BATCH))


def test_the_first_logits_see_every_token_of_the_source(reader):
    before, _ = reader.step(TOKENS[:, :1], reader.encode(SOURCES, LENGTHS))
    for at in range(LENGTHS.max()):
        changed = SOURCES.copy()
        changed[:, at] = (changed[:, at] + 1) % 9
        after, _ = reader.step(TOKENS[:, :1], reader.encode(changed, LENGTHS))
        assert ((after != before).any(axis=(1, 2)) == (at < LENGTHS)).all()


def test_a_window_sees_every_token_of_the_one_before_through_the_encoder(stream):
    window = stream.config.window
    _, state = stream.step(TOKENS[:, :window], stream.start(BATCH))
    before, _ = stream.step(TOKENS[:, window:2 * window], state)
    for at in range(window):
        read = TOKENS[:, :window].copy()
        read[:, at] = (read[:, at] + 1) % VOCABULARY
        # The decoder's own state stays as it was: only the encoder can see the difference.
        other = dataclasses.replace(state, window_tokens=like(state.window_tokens, read))
        after, _ = stream.step(TOKENS[:, window:2 * window], other)
        assert (after != before).any(axis=2).all()


def test_a_window_sees_nothing_but_the_one_before_through_the_encoder(stream):
    window = stream.config.window
    _, state = stream.step(TOKENS[:, :window], stream.start(BATCH))
    _, other = stream.step(TOKENS[:, ::-1][:, :window].copy(), stream.start(BATCH))
    same = dataclasses.replace(other, layers=state.layers, window_tokens=state.window_tokens)
    assert np.array_equal(stream.step(TOKENS, same)[0], stream.step(TOKENS, state)[0])
