"""Which tokens the lanes read, in which order."""

from collections import Counter

import numpy as np
import pytest

from charlm.training.objectives.text import Lanes


def lanes_over(cache_of, tokens, batch_size, bptt):
    """Lanes over a text whose every token is its own position."""
    return Lanes(cache_of(range(tokens)), batch_size=batch_size, bptt=bptt)


def read(lanes, steps):
    """Inputs of all steps side by side, (B, steps * T)."""
    return np.concatenate([lanes.window(step)[0].numpy() for step in range(steps)], axis=1)


@pytest.mark.parametrize("tokens, batch_size, bptt", [(24, 4, 3), (24, 1, 24), (24, 1, 8), (24, 24, 1), (20, 2, 5)])
def test_every_token_is_read_exactly_once_an_epoch(cache_of, tokens, batch_size, bptt):
    lanes, steps = lanes_over(cache_of, tokens, batch_size, bptt), tokens // (batch_size * bptt)
    for epoch in range(3):
        windows = [lanes.window(epoch * steps + step) for step in range(steps)]
        for part in (0, 1):                                 # as input, and as target
            assert Counter(int(token) for window in windows for token in window[part].flatten()) \
                == dict.fromkeys(range(tokens), 1)


@pytest.mark.parametrize("tokens, batch_size, bptt", [(23, 4, 3), (25, 2, 7), (7, 3, 6), (10, 3, 4)])
def test_uneven_lanes_still_read_every_token_equally_often(cache_of, tokens, batch_size, bptt):
    # After so many steps each lane has gone round the whole text `bptt` times.
    counts = Counter(read(lanes_over(cache_of, tokens, batch_size, bptt), tokens).flatten().tolist())
    assert counts == dict.fromkeys(range(tokens), batch_size * bptt)


@pytest.mark.parametrize("tokens, batch_size, bptt", [(24, 4, 3), (23, 4, 5), (5, 1, 4), (9, 3, 2)])
def test_targets_are_inputs_one_later(cache_of, tokens, batch_size, bptt):
    lanes = lanes_over(cache_of, tokens, batch_size, bptt)
    for step in range(2 * tokens):
        inputs, targets = lanes.window(step)
        assert inputs.shape == targets.shape == (batch_size, bptt)
        assert ((inputs + 1) % tokens == targets).all()


@pytest.mark.parametrize("tokens, batch_size, bptt", [(24, 4, 3), (23, 4, 5), (5, 1, 4), (9, 3, 2)])
def test_a_lane_is_contiguous_across_windows_and_epochs(cache_of, tokens, batch_size, bptt):
    for lane in read(lanes_over(cache_of, tokens, batch_size, bptt), 3 * tokens):
        assert ((lane[1:] - lane[:-1]) % tokens == 1).all()


def test_after_an_epoch_a_lane_is_where_the_next_lane_began(cache_of):
    lanes = lanes_over(cache_of, 24, 4, 3)
    assert lanes.window(0)[0][:, 0].tolist() == [0, 6, 12, 18]
    assert lanes.window(2)[0][:, 0].tolist() == [6, 12, 18, 0]


def test_position_of_a_lane_depends_on_the_step_alone(cache_of):
    lanes, fresh = lanes_over(cache_of, 23, 4, 5), lanes_over(cache_of, 23, 4, 5)
    read(lanes, 9)
    assert (lanes.window(10 ** 12)[0] == fresh.window(10 ** 12)[0]).all()
    assert lanes.window(10 ** 12)[0][0, 0] == 5 * 10 ** 12 % 23


@pytest.mark.parametrize("bptt", [1, 2, 5, 9])
def test_a_window_longer_than_the_text_wraps_around(cache_of, bptt):
    inputs, targets = lanes_over(cache_of, 2, 2, bptt).window(0)
    assert inputs.tolist() == [[at % 2 for at in range(bptt)], [(at + 1) % 2 for at in range(bptt)]]
    assert (inputs + targets == 1).all()
