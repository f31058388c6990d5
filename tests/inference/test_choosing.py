"""Which candidate becomes a sample: the first, the best of several, the first that is not refused."""

import math

import numpy as np
import pytest

from charlm.config import SamplingConfig
from charlm.inference.choosing import MAX_BATCH, Sample, choose, collect
from charlm.inference.generation import generate_measured
from charlm.text.tokenizers.char import CharTokenizer

LETTERS = CharTokenizer.train(["\nabcdefgh "], vocabulary_size=None)


class Candidates:
    """Draws texts that name their candidate; candidate c of sample n has (7 * n + 5 * c) % 11 bits."""

    def __init__(self):
        self.rounds = []

    def draw(self, keys):
        self.rounds.append(len(keys))
        full = [(key[0], key[1] if key[1:] else 0) for key in keys]
        return [Sample(number, f"{number}.{at}", (7 * number + 5 * at) % 11 * 3.0) for number, at in full]


def chosen(numbers=range(3), **options):
    candidates = Candidates()
    found = [sample.text for block in choose(candidates.draw, numbers, **options) for sample in block]
    return found, candidates.rounds


def reference(numbers, best_of, tries, refuse):
    """Return what is chosen when candidates are drawn one by one."""
    found = []
    for number in numbers:
        passed = [at for at in range(tries) if not refuse(f"{number}.{at}")][:best_of]
        if len(passed) == best_of:
            found.append(f"{number}.{min(passed, key=lambda at, number=number: (7 * number + 5 * at) % 11)}")
    return found


@pytest.mark.parametrize("best_of", [1, 2, 5, 70])
@pytest.mark.parametrize("refused", ["", "13", "02468"])
def test_the_best_of_the_first_candidates_that_pass_is_chosen(best_of, refused):
    def refuse(text):
        return text[-1] in refused
    numbers = range(20)
    found, rounds = chosen(numbers, best_of=best_of, tries=130, refuse=lambda texts: [*map(refuse, texts)])
    assert found == reference(numbers, best_of, 130, refuse) and max(rounds) <= MAX_BATCH


def test_a_sample_without_enough_candidates_is_left_out():
    def refuse(texts):
        return [text.startswith("1.") or text == "2.0" for text in texts]
    assert chosen(tries=2, refuse=refuse)[0] == ["0.0", "2.1"]
    assert chosen(tries=2, best_of=2, refuse=refuse)[0] == reference([0], 2, 2, lambda text: False)


def test_an_empty_text_is_no_better_than_another():
    def draw(keys):
        return [Sample(0, "" if len(key) == 1 else "abc", 0.0 if len(key) == 1 else 9.0) for key in keys]
    assert [block[0].text for block in choose(draw, range(1), best_of=2)] == ["abc"]


@pytest.mark.parametrize("options", [{}, {"temperature": 0.5, "top_k": 3}, {"repeat_penalty": 1.5}])
def test_bits_are_those_of_reading_the_text_again(random_network, stepwise_nats, options):
    network, prompt, keys = random_network(LETTERS.size, scale=2), LETTERS.encode("head a"), [(0,), (1,), (1, 4)]
    pieces = generate_measured(network, LETTERS, prompt, SamplingConfig(**options), length=30, seed=3, keys=keys,
                               stop=["bad", "e"])
    for sample in collect(keys, pieces):
        ids = np.concatenate([[LETTERS.start_id], prompt, LETTERS.encode(sample.text)])
        nats = stepwise_nats(network, ids)[len(prompt):].sum()
        assert sample.bits == pytest.approx(nats / math.log(2), rel=1e-4, abs=1e-6)
