"""Choosing samples of running text: the best of several candidates, or the first that is not refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from charlm.inference.generation import Key
from charlm.inference.scoring import nats_to_bits

MAX_BATCH = 64                          # samples drawn side by side
TRIES = 100                             # maximum number of candidates drawn for each one needed

Draw = Callable[[Sequence[Key]], list["Sample"]]
Refuse = Callable[[Sequence[str]], Sequence[bool]]          # maps texts to whether each is refused


@dataclass(frozen=True)
class Sample:
    """A sample of running text."""

    number: int
    text: str                           # without the prompt
    bits: float                         # of the text under the model itself

    @property
    def bits_per_character(self) -> float:
        """The bits divided by the number of characters; 0 for an empty text."""
        return self.bits / max(len(self.text), 1)


def collect(keys: Sequence[Key], pieces: Iterable[tuple[Key, str, float]]) -> list[Sample]:
    """Return the sample of each key, joined from its pieces of text and their nats."""
    texts, nats = dict.fromkeys(keys, ""), dict.fromkeys(keys, 0.0)
    for key, text, cost in pieces:
        texts[key] += text
        nats[key] += cost
    return [Sample(key[0], texts[key], nats_to_bits(nats[key])) for key in keys]


def choose(draw: Draw, numbers: range, *, best_of: int = 1, tries: int | None = None,
           refuse: Refuse | None = None) -> Iterator[list[Sample]]:
    """Yield for each number the best of the first `best_of` samples that pass: the one with the fewest bits/character.

    Samples are yielded in blocks, in order. Candidate c of a sample has the key (number, c), except that the first has
    the key (number,) and so equals the sample drawn without choosing. A number is left out if fewer than `best_of` of
    its `tries` candidates pass. An empty text is never better than another.
    """
    tries = tries or TRIES * best_of
    size = max(MAX_BATCH // best_of, 1)
    for first in range(numbers.start, numbers.stop, size):
        passed: dict[int, list[Sample]] = {number: [] for number in numbers[first - numbers.start:][:size]}
        drawn = dict.fromkeys(passed, 0)
        while keys := _next_keys(passed, drawn, best_of, tries):
            samples = draw(keys)
            refused = refuse([sample.text for sample in samples]) if refuse else [False] * len(samples)
            for sample, drop in zip(samples, refused, strict=True):
                drawn[sample.number] += 1
                if not drop and len(passed[sample.number]) < best_of:
                    passed[sample.number].append(sample)
        yield [min(candidates, key=_surprise) for candidates in passed.values() if len(candidates) == best_of]


def _surprise(sample: Sample) -> float:
    return sample.bits_per_character if sample.text else math.inf


def _next_keys(passed: dict[int, list[Sample]], drawn: dict[int, int], best_of: int, tries: int) -> list[Key]:
    """Return the keys of the next candidates: as many as are missing plus, to need few rounds, as many as were refused.

    >>> _next_keys({0: [], 1: []}, {0: 0, 1: 1}, 1, 9)
    [(0,), (1, 1), (1, 2)]
    """
    keys: list[Key] = []
    for number, candidates in passed.items():
        at, missing = drawn[number], best_of - len(candidates)
        stop = min(at + missing + at - len(candidates), tries) if missing else at
        keys += [(number, candidate) if candidate else (number,) for candidate in range(at, stop)]
    return keys[:MAX_BATCH]
