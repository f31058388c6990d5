"""New lines from a model of lines: drawn side by side, and only those that are wanted.

A line is the same text in whatever batch it is drawn: its number names its random numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from charlm.config import SamplingConfig
from charlm.errors import UsageError
from charlm.inference.cells import matmul_in_blocks
from charlm.inference.generation import StopAt, sample_until_end
from charlm.inference.network import Network
from charlm.inference.sampling import REPEAT_WINDOW, Uniforms
from charlm.inference.state import State
from charlm.modelfile import Model
from charlm.text.labels import Labels
from charlm.text.line_hashes import LineHashes
from charlm.text.special_tokens import eos_id, label_id
from charlm.text.tokenizers.base import NEWLINE, Tokenizer, decode, tokens_containing

LONGEST = 500                           # tokens, unless lines of the training were longer
MAX_LINE_TOKENS = 1_000_000                 # whatever a file says
SIDE_BY_SIDE = 1024                     # lines drawn at once
MIN_BATCH = 64                     # of lines that may not be wanted
MIN_TRIES, TRIES_A_LINE = 10_000, 100


def max_line_length(training: dict) -> int:
    """Tokens that a line may have, from what a model file says of its training."""
    known = training.get("longest_line")
    return max(LONGEST, min(known, MAX_LINE_TOKENS) if isinstance(known, int) else 0)


@dataclass(frozen=True)
class SampledLine:
    """A line that was drawn."""

    number: int                         # of all that were drawn with this seed, wanted or not
    text: str                           # its prefix included
    label: str | None


@dataclass(frozen=True)
class LineSamplingConfig:
    """How lines are to be drawn."""

    config: SamplingConfig
    seed: int
    max_length: int                        # tokens, the prefix not counted
    prefix: str = ""                    # every line begins with it
    label: str | None = None            # of all lines; None: each line's own, as frequent as in training
    stop: tuple[str, ...] = ()          # a line ends before any of these


class LineSampler:
    """A model of lines at work."""

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: Labels | None = None):
        self._network, self._tokenizer, self._labels = network, tokenizer, labels
        self._never = [*tokenizer.unsampleable_ids, *tokens_containing(tokenizer, NEWLINE)]

    def write(self, numbers: range, manner: LineSamplingConfig) -> list[SampledLine]:
        """The lines of these numbers. Raises UsageError for an unknown label."""
        uniforms = Uniforms(manner.seed, [(number,) for number in numbers])
        labels, rows = self._choose_labels(len(numbers), manner, uniforms)
        prefix = self._tokenizer.encode(manner.prefix)
        logits, state = self._begun(labels, prefix)
        recent = np.tile(prefix[-REPEAT_WINDOW:].astype(np.intp), (len(rows), 1))
        written = sample_until_end(self._network, logits[rows], state.select(rows),
                                end=eos_id(self._tokenizer), banned=self._never, config=manner.config,
                                uniforms=uniforms, max_length=manner.max_length, recent=recent)
        return [SampledLine(number, manner.prefix + _until(manner.stop, decode(self._tokenizer, ids)),
                     None if labels is None else self._labels.names[labels[row]])
                for number, row, ids in zip(numbers, rows, written)]

    def is_certain(self, manner: LineSamplingConfig) -> bool:
        """Whether every line is the same: nothing is drawn, neither labels nor tokens."""
        return manner.config.temperature == 0 and (self._labels is None or manner.label is not None)

    def _begun(self, labels: Sequence[int] | None, prefix: np.ndarray) -> tuple[np.ndarray, State]:
        """Logits (L, V) and state after each label, or none, and the prefix.

        Read token by token, so that no label's bits depend on the others.
        """
        begins = [eos_id(self._tokenizer)] if labels is None else [
            label_id(self._tokenizer, label) for label in labels]
        tokens, state = np.array(begins)[:, None], self._network.start(len(begins))
        logits, state = self._network.step(tokens, state)
        for token in prefix:
            logits, state = self._network.step(np.full(tokens.shape, token), state)
        return logits[:, 0], state

    def _choose_labels(self, count: int, manner: LineSamplingConfig,
                       uniforms: Uniforms) -> tuple[Sequence[int] | None, np.ndarray]:
        """The labels that these lines have, and the place among them of each line's own."""
        if self._labels is None:
            return None, np.zeros(count, np.intp)
        if manner.label is not None:
            return [self._labels.index(manner.label)], np.zeros(count, np.intp)
        chances = np.cumsum(np.exp(self._labels.log_prior()))
        drawn = np.searchsorted(chances, uniforms.next() * chances[-1], side="right")
        return np.unique(drawn, return_inverse=True)


def _until(stops: Sequence[str], text: str) -> str:
    """What stands before the first of these."""
    stop = StopAt(stops)
    return stop.push(text) + stop.flush()


@dataclass(frozen=True)
class LineFilter:
    """Which lines are kept of those drawn."""

    unique: bool = False                # none twice
    unlike: LineHashes | None = None    # none of these
    match: re.Pattern[str] | None = None

    @property
    def all(self) -> bool:
        return not self.unique and self.unlike is None and self.match is None


class FilteredLineSampler:
    """Lines of a writer until `count` wanted ones are found or `tries` are drawn."""

    def __init__(self, writer: LineSampler, manner: LineSamplingConfig, wanted: LineFilter):
        self._writer, self._manner, self._wanted = writer, manner, wanted
        self._seen: set[str] = set()
        self.found = self.tried = 0

    @classmethod
    def of(cls, model: Model, manner: LineSamplingConfig, *, unique: bool = False, novel: bool = False,
           match: str | None = None) -> FilteredLineSampler:
        """Of a model of lines: none twice, none of its training text, only those in which `match` is found.

        Raises UsageError for a label that the model lacks, a line break in the prefix, a wrong expression.
        """
        if manner.label is not None and not model.labels:
            raise UsageError(f"--label {manner.label!r}: this model has no labels; train one with --labels")
        if manner.label is not None:
            model.labels.index(manner.label)
        if NEWLINE in manner.prefix:
            raise UsageError("--prefix holds a line break; a line of this model never does")
        try:
            pattern = None if match is None else re.compile(match)
        except re.error as error:
            raise UsageError(f"--match {match!r} is no regular expression: {error}") from None
        network = Network(model.config, model.weights, matmul=matmul_in_blocks)
        return cls(LineSampler(network, model.tokenizer, model.labels), manner,
                   LineFilter(unique, model.line_hashes if novel else None, pattern))

    def seeded(self, seed: int) -> FilteredLineSampler:
        """The same with another seed."""
        return FilteredLineSampler(self._writer, replace(self._manner, seed=seed), self._wanted)

    def lines(self, count: int, *, tries: int | None = None) -> Iterator[list[SampledLine]]:
        """Batches of wanted lines, in the order of their numbers; once for each draw.

        Without a number of tries there are 100 for each line, at least 10,000; one is enough where nothing
        is left to chance.
        """
        tries = tries or max(MIN_TRIES, TRIES_A_LINE * count)
        if self._writer.is_certain(self._manner) and not self._wanted.all:
            tries = 1
        while self.found < count and self.tried < tries:
            size = count - self.found if self._wanted.all else max(count - self.found, MIN_BATCH)
            numbers = range(self.tried, self.tried + min(size, SIDE_BY_SIDE, tries - self.tried))
            drawn = self._writer.write(numbers, self._manner)
            kept = self._kept(drawn)[:count - self.found]
            self.found += len(kept)
            last = self.found == count and not self._wanted.all
            self.tried = kept[-1].number + 1 if last else numbers.stop
            yield kept

    def _kept(self, lines: list[SampledLine]) -> list[SampledLine]:
        wanted = self._wanted
        if wanted.match is not None:
            lines = [line for line in lines if wanted.match.search(line.text)]
        if wanted.unlike is not None:
            known = wanted.unlike.contains(line.text for line in lines)
            lines = [line for line, is_known in zip(lines, known) if not is_known]
        if wanted.unique:
            lines = [line for line in lines if self._first(line)]
        return lines

    def _first(self, line: SampledLine) -> bool:
        if line.text in self._seen:
            return False
        self._seen.add(line.text)
        return True
