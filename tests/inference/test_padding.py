"""What stands behind a source's end, or beside it in a batch, has no effect; in torch and in NumPy."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTHS = np.array([7, 1, 4, 2, 5])
CHANCE = np.random.default_rng(1)
SOURCES = CHANCE.integers(9, size=(5, 7))
TOKENS = CHANCE.integers(13, size=(5, 6))


def logits_of(network, sources, lengths, tokens):
    return network.step(tokens, network.encode(sources, lengths))[0]


def test_ids_in_the_padding_change_no_bit(reader):
    padding = np.arange(SOURCES.shape[1]) >= LENGTHS[:, None]
    before = logits_of(reader, SOURCES, LENGTHS, TOKENS)
    for other in (0, 8, SOURCES[::-1]):
        assert np.array_equal(logits_of(reader, np.where(padding, other, SOURCES), LENGTHS, TOKENS), before)
    # What is not padding does have an effect, to its last token.
    last = np.arange(SOURCES.shape[1]) == LENGTHS[:, None] - 1
    after = logits_of(reader, np.where(last, (SOURCES + 1) % 9, SOURCES), LENGTHS, TOKENS)
    assert (after != before).any(axis=(1, 2)).all()


PLACES = np.array([4, 0, 0, 2, 1]), np.array([4, 6, 2, 0, 0])


def placed_logits(network, sources, lengths, positions, tokens):
    return network.step(tokens, network.encode(sources, lengths, positions))[0]


def test_ids_in_the_padding_change_no_bit_of_a_place(reader):
    padding = np.arange(SOURCES.shape[1]) >= LENGTHS[:, None]
    before = placed_logits(reader, SOURCES, LENGTHS, PLACES, TOKENS)
    for other in (0, 8, SOURCES[::-1]):
        assert np.array_equal(
            placed_logits(reader, np.where(padding, other, SOURCES), LENGTHS, PLACES, TOKENS), before)
    at = np.zeros(SOURCES.shape, bool)
    at[PLACES] = True                                       # what stands at the positions has an effect
    after = placed_logits(reader, np.where(at, (SOURCES + 1) % 9, SOURCES), LENGTHS, PLACES, TOKENS)
    assert (after != before).any(axis=(1, 2)).all()


def test_a_place_gives_the_same_logits_alone_and_beside_others(reader):
    together = placed_logits(reader, SOURCES, LENGTHS, PLACES, TOKENS)
    for at, (row, position) in enumerate(zip(*PLACES)):
        length = LENGTHS[row]
        alone = placed_logits(reader, SOURCES[row:row + 1, :length], LENGTHS[row:row + 1],
                              (np.array([0]), np.array([position])), TOKENS[at:at + 1])
        assert np.abs(alone[0] - together[at]).max() < 1e-5
    wider = np.pad(SOURCES, ((0, 0), (0, 3)), constant_values=5)
    some = placed_logits(reader, wider, LENGTHS, tuple(part[1:4] for part in PLACES), TOKENS[1:4])
    assert np.abs(some - together[1:4]).max() < 1e-5


def test_a_source_gives_the_same_logits_alone_and_in_any_batch(reader):
    together = logits_of(reader, SOURCES, LENGTHS, TOKENS)
    for row, length in enumerate(LENGTHS):
        alone = logits_of(reader, SOURCES[row:row + 1, :length], LENGTHS[row:row + 1], TOKENS[row:row + 1])
        assert np.abs(alone[0] - together[row]).max() < 1e-5
    wider, order = np.pad(SOURCES, ((0, 0), (0, 3))), np.array([3, 0, 3, 4])
    some = logits_of(reader, wider[order], LENGTHS[order], TOKENS[order])
    assert np.abs(some - together[order]).max() < 1e-5
