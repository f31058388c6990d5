"""Leak tests in torch and NumPy: no logits depend on later tokens, and all depend on everything they may read."""

import dataclasses

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("one_thread")

BATCH, TIME, VOCABULARY = 3, 10, 13         # three whole windows of three tokens, and one token more
RNG = np.random.default_rng(2)
TOKENS = RNG.integers(VOCABULARY, size=(BATCH, TIME))
SOURCES, LENGTHS = RNG.integers(9, size=(BATCH, 5)), np.array([5, 2, 4])


def like(given, values):
    """Return the values as a tensor if `given` is one."""
    return values if isinstance(given, np.ndarray) else given.new_tensor(values)


def assert_no_leak(network, state):
    """Assert that changing the tokens from any step on changes no logits before it, and changes those at it."""
    before, _ = network.step(TOKENS, state)
    for at in range(TIME):
        changed = TOKENS.copy()
        changed[:, at:] = (changed[:, at:] + 1 + np.arange(TIME - at) % 3) % VOCABULARY
        after, _ = network.step(changed, state)
        assert np.array_equal(after[:, :at], before[:, :at])
        assert (after[:, at] != before[:, at]).any(axis=1).all()


def test_later_tokens_never_change_earlier_logits_after_a_source(source_network):
    assert_no_leak(source_network, source_network.encode(SOURCES, LENGTHS))


def test_later_tokens_never_change_earlier_logits_after_a_position(source_network):
    assert_no_leak(source_network, source_network.encode(SOURCES, LENGTHS, (np.array([0, 2, 0]), np.array([1, 3, 4]))))


def test_logits_of_a_position_see_exactly_what_the_architecture_reads(source_network):
    """A network that reads in one direction, without attention, has not read past the position; all others have."""
    position, width = 2, SOURCES.shape[1]
    positions, both = (np.array([0]), np.array([position])), (
        source_network.config.encoder == "bidirectional" or source_network.config.attention)
    before, _ = source_network.step(TOKENS[:1, :1], source_network.encode(SOURCES[:1], LENGTHS[:1], positions))
    seen = []
    for at in range(width):
        changed = SOURCES[:1].copy()
        changed[:, at] = (changed[:, at] + 1) % 9
        after, _ = source_network.step(TOKENS[:1, :1], source_network.encode(changed, LENGTHS[:1], positions))
        seen.append((after != before).any())
    assert seen == [both or at <= position for at in range(width)]


def test_initial_state_of_a_position_sees_both_sides_only_if_bidirectional(source_network):
    """The hidden state that decoding starts from, whatever attention also sees."""
    position, positions = 2, (np.array([0]), np.array([2]))

    def initial_state(source):
        state = source_network.encode(source, LENGTHS[:1], positions)
        return np.concatenate([np.ravel(part) for layer in state.layers for part in layer])

    before, seen = initial_state(SOURCES[:1]), []
    for at in range(SOURCES.shape[1]):
        changed = SOURCES[:1].copy()
        changed[:, at] = (changed[:, at] + 1) % 9
        seen.append((initial_state(changed) != before).any())
    bidirectional = source_network.config.encoder == "bidirectional"
    assert seen == [at <= position or bidirectional for at in range(SOURCES.shape[1])]


def test_position_sees_no_other_source(source_network):
    positions = np.array([0, 0, 1]), np.array([0, 4, 1])
    before, _ = source_network.step(TOKENS[:, :3], source_network.encode(SOURCES, LENGTHS, positions))
    changed = SOURCES.copy()
    changed[1:] = (changed[1:] + 1) % 9
    after, _ = source_network.step(TOKENS[:, :3], source_network.encode(changed, LENGTHS, positions))
    assert np.array_equal(after[:2], before[:2]) and (after[2] != before[2]).any()


def test_later_tokens_never_change_earlier_logits_in_running_text(windowed_network):
    assert_no_leak(windowed_network, windowed_network.start(BATCH))


def test_first_logits_see_every_token_of_the_source(source_network):
    before, _ = source_network.step(TOKENS[:, :1], source_network.encode(SOURCES, LENGTHS))
    for at in range(LENGTHS.max()):
        changed = SOURCES.copy()
        changed[:, at] = (changed[:, at] + 1) % 9
        after, _ = source_network.step(TOKENS[:, :1], source_network.encode(changed, LENGTHS))
        assert ((after != before).any(axis=(1, 2)) == (at < LENGTHS)).all()


def test_window_sees_every_token_of_the_previous_one_through_the_encoder(windowed_network):
    window = windowed_network.config.window
    _, state = windowed_network.step(TOKENS[:, :window], windowed_network.start(BATCH))
    before, _ = windowed_network.step(TOKENS[:, window:2 * window], state)
    for at in range(window):
        read = TOKENS[:, :window].copy()
        read[:, at] = (read[:, at] + 1) % VOCABULARY
        # The decoder's hidden state stays the same: only the encoder can see the difference.
        other = dataclasses.replace(state, window_tokens=like(state.window_tokens, read))
        after, _ = windowed_network.step(TOKENS[:, window:2 * window], other)
        assert (after != before).any(axis=2).all()


def test_window_sees_only_the_previous_one_through_the_encoder(windowed_network):
    window = windowed_network.config.window
    _, state = windowed_network.step(TOKENS[:, :window], windowed_network.start(BATCH))
    _, other = windowed_network.step(TOKENS[:, ::-1][:, :window].copy(), windowed_network.start(BATCH))
    same = dataclasses.replace(other, layers=state.layers, window_tokens=state.window_tokens)
    assert np.array_equal(windowed_network.step(TOKENS, same)[0], windowed_network.step(TOKENS, state)[0])
