"""Sampling until an end token: where rows end, banned tokens, and the independence of rows."""

import numpy as np
import pytest

from charlm.config import SamplingConfig
from charlm.inference.generation import sample_until_end
from charlm.inference.sampling import Uniforms

END, VOCABULARY = 5, 6


class ScriptedNetwork:
    """A network in which row b writes the tokens of script b; a state holds the position of each row."""

    def __init__(self, *scripts):
        self.scripts, self.read = scripts, []

    def logits(self, state):
        out = np.full((len(state.rows), VOCABULARY), -50, np.float32)
        for at_row, (row, at) in enumerate(zip(state.rows, state.at, strict=True)):
            out[at_row, self.scripts[row][at]] = 50
        return out

    def step(self, tokens, state):
        assert tokens.shape == (len(state.rows), 1)
        self.read.append(dict(zip(state.rows.tolist(), tokens[:, 0].tolist(), strict=True)))
        state = ScriptState(state.rows, state.at + 1)
        return self.logits(state)[:, None], state


class ScriptState:
    def __init__(self, rows, at):
        self.rows, self.at = rows, at

    def select(self, rows):
        return ScriptState(self.rows[rows], self.at[rows])


def sample(network, *, max_length=50, banned=(), seed=1, recent=None, **options):
    count = len(network.scripts)
    state = ScriptState(np.arange(count), np.zeros(count, int))
    return sample_until_end(network, network.logits(state), state, end=END, banned=list(banned), max_length=max_length,
                         config=SamplingConfig(**options), uniforms=Uniforms(seed, [(row,) for row in range(count)]),
                         recent=np.zeros((count, 0), np.intp) if recent is None else recent)


def test_each_row_is_sampled_until_its_end_which_is_left_out():
    network = ScriptedNetwork([1, 2, END], [END], [3, 3, 3, 4, END], [2, END])
    assert sample(network) == [[1, 2], [], [3, 3, 3, 4], [2]]


def test_finished_row_is_not_read_further():
    network = ScriptedNetwork([1, 2, END], [END], [3, 3, 3, 4, END])
    sample(network)
    assert network.read == [{0: 1, 2: 3}, {0: 2, 2: 3}, {2: 3}, {2: 4}]


@pytest.mark.parametrize("max_length, expected", [
    (0, [[], []]), (1, [[1], [2]]), (2, [[1, 1], [2]]), (3, [[1, 1, 1], [2]])])
def test_row_without_an_end_is_cut_at_the_max_length(max_length, expected):
    network = ScriptedNetwork([1] * 99, [2, END])
    assert sample(network, max_length=max_length) == expected
    assert len(network.read) <= max(max_length - 1, 0)


def test_banned_token_gives_way_to_the_next_likeliest():
    network = ScriptedNetwork([4, 4, END])
    network.logits = lambda state: np.tile(np.float32([0, 1, 2, 3, 9, -50]), (len(state.rows), 1))
    assert sample(network, max_length=3, banned=[4, 3], temperature=0) == [[2, 2, 2]]
    assert set(sample(network, max_length=50, banned=[4, 3], temperature=9)[0]) == {0, 1, 2}


def test_row_does_not_depend_on_when_others_end():
    """Its random numbers are its own, whether the rows around it end early or late."""
    class EvenNetwork(ScriptedNetwork):
        def logits(self, state):
            out = np.zeros((len(state.rows), VOCABULARY), np.float32)
            out[:, END] = np.array(self.scripts)[state.rows]
            return out

    banned, at_once = -99.0, 99.0
    lone = sample(EvenNetwork(banned, banned, banned), max_length=30)[2]
    assert sample(EvenNetwork(at_once, banned, banned), max_length=30)[2] == lone
    assert sample(EvenNetwork(banned, at_once, banned), max_length=30)[2] == lone
    assert sample(EvenNetwork(0.0, 0.0, banned), max_length=30)[2] == lone and len(set(lone)) > 2


def test_repeat_penalty_applies_to_the_past_of_each_row():
    """Row 0 has seen 1, row 1 has seen 2; each prefers what it has not seen."""
    network = ScriptedNetwork([1, 1, END], [1, 1, END], [END])
    network.logits = lambda state: np.tile(np.float32([0, 5, 4.5, 4, -9, -50]), (len(state.rows), 1))
    recent = np.array([[1], [2], [3]])
    written = sample(network, max_length=4, temperature=0, repeat_penalty=1.5, recent=recent)
    assert written == [[2, 3, 1, 1], [1, 3, 1, 1], [1, 2, 1, 1]]
