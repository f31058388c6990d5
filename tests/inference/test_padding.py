"""The padding after a source and the other rows of a batch have no effect, in torch and in NumPy."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTHS = np.array([7, 1, 4, 2, 5])
RNG = np.random.default_rng(1)
SOURCES = RNG.integers(9, size=(5, 7))
TOKENS = RNG.integers(13, size=(5, 6))


def logits_of(network, sources, lengths, tokens):
    return network.step(tokens, network.encode(sources, lengths))[0]


def test_padding_changes_no_bit(source_network):
    padding = np.arange(SOURCES.shape[1]) >= LENGTHS[:, None]
    before = logits_of(source_network, SOURCES, LENGTHS, TOKENS)
    for other in (0, 8, SOURCES[::-1]):
        assert np.array_equal(logits_of(source_network, np.where(padding, other, SOURCES), LENGTHS, TOKENS), before)
    # Tokens that are not padding do have an effect, up to the last one.
    last = np.arange(SOURCES.shape[1]) == LENGTHS[:, None] - 1
    after = logits_of(source_network, np.where(last, (SOURCES + 1) % 9, SOURCES), LENGTHS, TOKENS)
    assert (after != before).any(axis=(1, 2)).all()


POSITIONS = np.array([4, 0, 0, 2, 1]), np.array([4, 6, 2, 0, 0])


def logits_after_positions(network, sources, lengths, positions, tokens):
    return network.step(tokens, network.encode(sources, lengths, positions))[0]


def test_padding_changes_no_bit_after_a_position(source_network):
    padding = np.arange(SOURCES.shape[1]) >= LENGTHS[:, None]
    before = logits_after_positions(source_network, SOURCES, LENGTHS, POSITIONS, TOKENS)
    for other in (0, 8, SOURCES[::-1]):
        padded = np.where(padding, other, SOURCES)
        assert np.array_equal(logits_after_positions(source_network, padded, LENGTHS, POSITIONS, TOKENS), before)
    at = np.zeros(SOURCES.shape, bool)
    at[POSITIONS] = True                                       # the tokens at the positions have an effect
    after = logits_after_positions(source_network, np.where(at, (SOURCES + 1) % 9, SOURCES), LENGTHS, POSITIONS, TOKENS)
    assert (after != before).any(axis=(1, 2)).all()


def test_logits_after_a_position_do_not_depend_on_the_batch(source_network):
    together = logits_after_positions(source_network, SOURCES, LENGTHS, POSITIONS, TOKENS)
    for at, (row, position) in enumerate(zip(*POSITIONS, strict=True)):
        length = LENGTHS[row]
        alone = logits_after_positions(source_network, SOURCES[row:row + 1, :length], LENGTHS[row:row + 1],
                              (np.array([0]), np.array([position])), TOKENS[at:at + 1])
        assert np.abs(alone[0] - together[at]).max() < 1e-5
    wider = np.pad(SOURCES, ((0, 0), (0, 3)), constant_values=5)
    positions = tuple(part[1:4] for part in POSITIONS)
    selected = logits_after_positions(source_network, wider, LENGTHS, positions, TOKENS[1:4])
    assert np.abs(selected - together[1:4]).max() < 1e-5


def test_logits_after_a_source_do_not_depend_on_the_batch(source_network):
    together = logits_of(source_network, SOURCES, LENGTHS, TOKENS)
    for row, length in enumerate(LENGTHS):
        alone = logits_of(source_network, SOURCES[row:row + 1, :length], LENGTHS[row:row + 1], TOKENS[row:row + 1])
        assert np.abs(alone[0] - together[row]).max() < 1e-5
    wider, order = np.pad(SOURCES, ((0, 0), (0, 3))), np.array([3, 0, 3, 4])
    selected = logits_of(source_network, wider[order], LENGTHS[order], TOKENS[order])
    assert np.abs(selected - together[order]).max() < 1e-5
