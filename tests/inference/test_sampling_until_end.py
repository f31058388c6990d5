"""Texts that end by themselves: their ends, what is never in them, and rows that do not disturb each other."""

import numpy as np
import pytest

from charlm.config import SamplingConfig
from charlm.inference.generation import sample_until_end
from charlm.inference.sampling import Uniforms

END, KNOWN = 5, 6


class Scripted:
    """Row b wants the tokens of script b one after the other; a state is where each row stands."""

    def __init__(self, *scripts):
        self.scripts, self.read = scripts, []

    def logits(self, state):
        out = np.full((len(state.rows), KNOWN), -50, np.float32)
        for place, (row, at) in enumerate(zip(state.rows, state.at)):
            out[place, self.scripts[row][at]] = 50
        return out

    def step(self, tokens, state):
        assert tokens.shape == (len(state.rows), 1)
        self.read.append(dict(zip(state.rows.tolist(), tokens[:, 0].tolist())))
        state = Place(state.rows, state.at + 1)
        return self.logits(state)[:, None], state


class Place:
    def __init__(self, rows, at):
        self.rows, self.at = rows, at

    def select(self, rows):
        return Place(self.rows[rows], self.at[rows])


def write(network, *, max_length=50, banned=(), seed=1, recent=None, **options):
    count = len(network.scripts)
    state = Place(np.arange(count), np.zeros(count, int))
    return sample_until_end(network, network.logits(state), state, end=END, banned=list(banned), max_length=max_length,
                         config=SamplingConfig(**options), uniforms=Uniforms(seed, [(row,) for row in range(count)]),
                         recent=np.zeros((count, 0), np.intp) if recent is None else recent)


def test_each_row_is_written_until_its_own_end_which_is_left_out():
    network = Scripted([1, 2, END], [END], [3, 3, 3, 4, END], [2, END])
    assert write(network) == [[1, 2], [], [3, 3, 3, 4], [2]]


def test_a_row_that_has_ended_is_read_no_further():
    network = Scripted([1, 2, END], [END], [3, 3, 3, 4, END])
    write(network)
    assert network.read == [{0: 1, 2: 3}, {0: 2, 2: 3}, {2: 3}, {2: 4}]


@pytest.mark.parametrize("max_length, expected", [(0, [[], []]), (1, [[1], [2]]), (2, [[1, 1], [2]]), (3, [[1, 1, 1], [2]])])
def test_a_row_without_an_end_is_cut_at_the_max_length(max_length, expected):
    network = Scripted([1] * 99, [2, END])
    assert write(network, max_length=max_length) == expected
    assert len(network.read) <= max(max_length - 1, 0)


def test_what_is_never_written_gives_way_to_the_next_likeliest():
    network = Scripted([4, 4, END])
    network.logits = lambda state: np.tile(np.float32([0, 1, 2, 3, 9, -50]), (len(state.rows), 1))
    assert write(network, max_length=3, banned=[4, 3], temperature=0) == [[2, 2, 2]]
    assert set(write(network, max_length=50, banned=[4, 3], temperature=9)[0]) == {0, 1, 2}


def test_a_row_is_the_same_whatever_ends_beside_it():
    """Chance of a row is its own: its odds are even, and rows around it end early or late."""
    class Even(Scripted):
        def logits(self, state):
            out = np.zeros((len(state.rows), KNOWN), np.float32)
            out[:, END] = np.array(self.scripts)[state.rows]
            return out

    banned, at_once = -99.0, 99.0
    lone = write(Even(banned, banned, banned), max_length=30)[2]
    assert write(Even(at_once, banned, banned), max_length=30)[2] == lone
    assert write(Even(banned, at_once, banned), max_length=30)[2] == lone
    assert write(Even(0.0, 0.0, banned), max_length=30)[2] == lone and len(set(lone)) > 2


def test_a_repeat_penalty_looks_at_each_row_s_own_past():
    """Row 0 has seen 1, row 1 has seen 2; each is driven to what it has not seen."""
    network = Scripted([1, 1, END], [1, 1, END], [END])
    network.logits = lambda state: np.tile(np.float32([0, 5, 4.5, 4, -9, -50]), (len(state.rows), 1))
    recent = np.array([[1], [2], [3]])
    written = write(network, max_length=4, temperature=0, repeat_penalty=1.5, recent=recent)
    assert written == [[2, 3, 1, 1], [1, 3, 1, 1], [1, 2, 1, 1]]
