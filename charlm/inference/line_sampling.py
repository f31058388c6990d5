"""New lines from a model of lines: drawn side by side, and only those that are wanted.

A line is the same text in whatever batch it is drawn: its number names its random numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from charlm.config import SamplingConfig
from charlm.inference.network import Network
from charlm.inference.sampling import REPEAT_WINDOW, Uniforms
from charlm.inference.writing import write_to_ends
from charlm.text.known_lines import KnownLines
from charlm.text.labels import Labels
from charlm.text.special import boundary, label_id
from charlm.text.tokenizer import NEWLINE, Tokenizer, decode, tokens_holding

LONGEST = 500                           # tokens, unless lines of the training were longer
SIDE_BY_SIDE = 1024                     # lines drawn at once
FEWEST_AT_ONCE = 64                     # of lines that may not be wanted


def longest_line(training: dict) -> int:
    """Tokens that a line may have, from what a model file says of its training."""
    known = training.get("longest_line")
    return max(LONGEST, known if isinstance(known, int) else 0)


@dataclass(frozen=True)
class Line:
    """A line that was drawn."""

    number: int                         # of all that were drawn with this seed, wanted or not
    text: str                           # its prefix included
    label: str | None


@dataclass(frozen=True)
class Manner:
    """How lines are to be drawn."""

    config: SamplingConfig
    seed: int
    longest: int                        # tokens, the prefix not counted
    prefix: str = ""                    # every line begins with it
    label: str | None = None            # of all lines; None: each line's own, as frequent as in training


class LineWriter:
    """A model of lines at work."""

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: Labels | None = None):
        self._network, self._tokenizer, self._labels = network, tokenizer, labels
        label_ids = [label_id(tokenizer, number) for number in range(len(labels or ()))]
        self._never = [*tokenizer.never_sampled, *tokens_holding(tokenizer, NEWLINE), *label_ids]

    def write(self, numbers: range, manner: Manner) -> list[Line]:
        """The lines of these numbers. Raises UsageError for an unknown label."""
        uniforms = Uniforms(manner.seed, [(number,) for number in numbers])
        labels, rows = self._choose_labels(len(numbers), manner, uniforms)
        prefix = self._tokenizer.encode(manner.prefix)
        begins = [boundary(self._tokenizer)] if labels is None else [
            label_id(self._tokenizer, label) for label in labels]
        ids = np.array([[begin, *prefix] for begin in begins], np.int64)        # (L, 1 + P)
        logits, state = self._network.step(ids, self._network.start(len(ids)))
        recent = np.tile(prefix[-REPEAT_WINDOW:].astype(np.intp), (len(rows), 1))
        written = write_to_ends(self._network, logits[rows, -1], state.select(rows),
                                end=boundary(self._tokenizer), never=self._never, config=manner.config,
                                uniforms=uniforms, longest=manner.longest, recent=recent)
        return [Line(number, manner.prefix + decode(self._tokenizer, ids),
                     None if labels is None else self._labels.names[labels[row]])
                for number, row, ids in zip(numbers, rows, written)]

    def _choose_labels(self, count: int, manner: Manner,
                       uniforms: Uniforms) -> tuple[list[int] | None, np.ndarray]:
        """The labels that any line may have, and the place among them of each line's own."""
        if self._labels is None:
            return None, np.zeros(count, np.intp)
        if manner.label is not None:
            return [self._labels.number(manner.label)], np.zeros(count, np.intp)
        chances = np.cumsum(np.exp(self._labels.log_prior()))
        drawn = np.searchsorted(chances, uniforms.next() * chances[-1], side="right")
        return list(range(len(self._labels))), drawn


@dataclass(frozen=True)
class Wanted:
    """Which lines are kept of those drawn."""

    unique: bool = False                # none twice
    unlike: KnownLines | None = None    # none of these
    match: re.Pattern[str] | None = None

    @property
    def all(self) -> bool:
        return not self.unique and self.unlike is None and self.match is None


class Draw:
    """Lines of a writer until `count` wanted ones are found or `tries` are drawn."""

    def __init__(self, writer: LineWriter, manner: Manner, wanted: Wanted):
        self._writer, self._manner, self._wanted = writer, manner, wanted
        self._seen: set[str] = set()
        self.found = self.tried = 0

    def lines(self, count: int, *, tries: int) -> Iterator[list[Line]]:
        """Batches of wanted lines, in the order of their numbers."""
        while self.found < count and self.tried < tries:
            size = count - self.found if self._wanted.all else max(count - self.found, FEWEST_AT_ONCE)
            numbers = range(self.tried, self.tried + min(size, SIDE_BY_SIDE, tries - self.tried))
            drawn = self._writer.write(numbers, self._manner)
            kept = self._kept(drawn)[:count - self.found]
            self.found += len(kept)
            last = self.found == count and not self._wanted.all
            self.tried = kept[-1].number + 1 if last else numbers.stop
            yield kept

    def _kept(self, lines: list[Line]) -> list[Line]:
        wanted = self._wanted
        if wanted.match is not None:
            lines = [line for line in lines if wanted.match.search(line.text)]
        if wanted.unlike is not None:
            known = wanted.unlike.holds(line.text for line in lines)
            lines = [line for line, is_known in zip(lines, known) if not is_known]
        if wanted.unique:
            lines = [line for line in lines if self._first(line)]
        return lines

    def _first(self, line: Line) -> bool:
        if line.text in self._seen:
            return False
        self._seen.add(line.text)
        return True
