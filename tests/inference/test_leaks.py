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
        other = dataclasses.replace(state, read=like(state.read, read))
        after, _ = stream.step(TOKENS[:, window:2 * window], other)
        assert (after != before).any(axis=2).all()


def test_a_window_sees_nothing_but_the_one_before_through_the_encoder(stream):
    window = stream.config.window
    _, state = stream.step(TOKENS[:, :window], stream.start(BATCH))
    _, other = stream.step(TOKENS[:, ::-1][:, :window].copy(), stream.start(BATCH))
    same = dataclasses.replace(other, layers=state.layers, read=state.read)
    assert np.array_equal(stream.step(TOKENS, same)[0], stream.step(TOKENS, state)[0])
