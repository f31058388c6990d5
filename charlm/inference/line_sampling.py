"""Sampling new lines side by side, and filtering them; the text of a line depends on the seed and its index only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from charlm.config import SamplingConfig
from charlm.contract import FloatArray, IntArray, Network, State, Tokenizer
from charlm.errors import OptionError
from charlm.inference.generation import sample_until_end, text_of
from charlm.inference.sampling import REPEAT_WINDOW, Uniforms
from charlm.inference.scoring import nats_to_bits, token_nats
from charlm.text.labels import Labels
from charlm.text.line_hashes import LineHashes
from charlm.text.special_tokens import eos_id, label_id
from charlm.text.tokenizers.base import NEWLINE, decode, tokens_containing

DEFAULT_MAX_LENGTH = 500                # tokens, unless training had longer lines
MAX_LINE_TOKENS = 1_000_000             # the most that a model file can ask for
SIDE_BY_SIDE = 1024                     # lines drawn at once
MIN_BATCH = 64                          # lines drawn at once if some may be filtered out
MIN_TRIES, TRIES_PER_LINE = 10_000, 100


Refusal = Callable[[Sequence[str]], Sequence[bool]]    # maps lines to whether each is dropped


def max_line_length(training: dict[str, Any]) -> int:
    """Return the maximum number of tokens in a line, from the training metadata of a model file."""
    longest = training.get("longest_line")
    return max(DEFAULT_MAX_LENGTH, min(longest, MAX_LINE_TOKENS) if isinstance(longest, int) else 0)


@dataclass(frozen=True)
class SampledLine:
    """One line sampled from a model."""

    index: int                          # among all lines drawn with this seed, filtered out or not
    text: str                           # with its prefix
    label: str | None
    bits_per_character: float = 0.0     # of the new text and its end, which counts as one character; 0 if not measured


@dataclass(frozen=True)
class LineSamplingConfig:
    """All settings of sampling lines."""

    sampling: SamplingConfig
    seed: int
    max_length: int                     # tokens, not counting the prefix
    prefix: str = ""                    # every line begins with it
    label: str | None = None            # of all lines; None: sampled for each line by frequency
    stop: tuple[str, ...] = ()          # a line ends before any of these strings
    measured: bool = False              # whether bits are counted; they are with `best_of`
    best_of: int = 1                    # candidates per line: the one with the fewest bits per character is kept


class LineSampler:
    """Samples lines, by index, from a model of lines."""

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: Labels | None = None):
        self._network, self._tokenizer, self._labels = network, tokenizer, labels
        self._banned = [*tokenizer.unsampleable_ids, *tokens_containing(tokenizer, NEWLINE)]

    def sample(self, indices: range, config: LineSamplingConfig) -> list[SampledLine]:
        """Return the lines with these indices. Raises UsageError for an unknown label."""
        uniforms = Uniforms(config.seed, [(index,) for index in indices])
        starts, rows, labels = self._choose_starts(len(indices), config, uniforms)
        prefix = self._tokenizer.encode(config.prefix)
        logits, state = self._read_prefix(starts, prefix)
        recent = np.tile(prefix[-REPEAT_WINDOW:].astype(np.intp), (len(rows), 1))
        nats: list[list[float]] = [[] for _ in indices]
        sampled = sample_until_end(self._network, logits[rows], state.select(rows), end=eos_id(self._tokenizer),
                                   banned=self._banned, config=config.sampling, uniforms=uniforms,
                                   max_length=config.max_length, recent=recent, nats=nats,
                                   measure=self._nats if config.measured or config.best_of > 1 else None)
        return [self._line(index, label, ids, costs, config)
                for index, label, ids, costs in zip(indices, labels, sampled, nats, strict=True)]

    def _nats(self, logits: FloatArray, tokens: IntArray) -> FloatArray:
        return token_nats(logits, tokens, self._tokenizer)

    def _line(self, index: int, label: str | None, ids: list[int], nats: list[float],
              config: LineSamplingConfig) -> SampledLine:
        """Return the line that these ids spell; `nats` may include the cost of its end, or be empty."""
        new = whole = decode(self._tokenizer, ids)
        cost, end = sum(nats[:len(ids)]), nats[len(ids):]
        if config.stop:
            new, cost = text_of(self._tokenizer, ids, nats[:len(ids)] or [0.0] * len(ids), config.stop)
            end = end if new == whole else []       # the stop string came before it
        bits = nats_to_bits(cost + sum(end))
        return SampledLine(index, config.prefix + new, label, bits / max(len(new) + len(end), 1))

    def is_deterministic(self, config: LineSamplingConfig) -> bool:
        """Return True if every line is the same, because neither labels nor tokens are drawn at random."""
        return config.sampling.temperature == 0 and (self._labels is None or config.label is not None)

    def _choose_starts(self, count: int, config: LineSamplingConfig,
                       uniforms: Uniforms) -> tuple[IntArray, IntArray, Sequence[str | None]]:
        """Return the distinct first tokens (L,), the index among them of each line's (B,), and each line's label."""
        if self._labels is None:
            return np.array([eos_id(self._tokenizer)]), np.zeros(count, np.intp), [None] * count
        if config.label is not None:
            chosen = np.full(count, self._labels.index(config.label))
        else:
            cumulative = np.cumsum(np.exp(self._labels.log_prior()))
            chosen = np.searchsorted(cumulative, uniforms.next() * cumulative[-1], side="right")
        labels, rows = np.unique(chosen, return_inverse=True)
        return label_id(self._tokenizer, 0) + labels, rows, [self._labels.names[label] for label in chosen]

    def _read_prefix(self, starts: IntArray, prefix: IntArray) -> tuple[FloatArray, State]:
        """Return the logits (L, V) and the state after each first token (L,) and the prefix."""
        logits, state = self._network.step(starts[:, None], self._network.start(len(starts)))
        for token in prefix:    # one at a time, so that a row's bits do not depend on the other rows
            logits, state = self._network.step(np.full((len(starts), 1), token), state)
        return logits[:, 0], state


@dataclass(frozen=True)
class LineFilter:
    """The conditions under which a sampled line is kept."""

    unique: bool = False                # drop repeated lines
    known: LineHashes | None = None     # drop these lines
    match: re.Pattern[str] | None = None    # drop lines that do not contain a match
    refusals: tuple[Refusal, ...] = ()      # drop lines for which any of these returns true

    @property
    def keeps_all(self) -> bool:
        """True if no line is ever dropped."""
        return not self.unique and self.known is None and self.match is None and not self.refusals


class FilteredLineSampler:
    """Samples lines until `count` lines have passed a filter or `tries` lines have been drawn.

    For each line that is kept, `best_of` lines pass the filter, and the one with the fewest bits per character is kept.
    """

    def __init__(self, sampler: LineSampler, config: LineSamplingConfig, filter: LineFilter):
        self._sampler, self._config, self._filter = sampler, config, filter
        # If all lines are the same, one candidate is as good as several.
        self._best_of = 1 if sampler.is_deterministic(config) else config.best_of
        self._seen: set[str] = set()
        self._passed = self.tried = 0

    @property
    def found(self) -> int:
        """The number of lines found."""
        return self._passed // self._best_of

    @classmethod
    def of(cls, network: Network, tokenizer: Tokenizer, labels: Labels | None, line_hashes: LineHashes | None,
           config: LineSamplingConfig, *, unique: bool = False, novel: bool = False, match: str | None = None,
           refusals: Sequence[Refusal] = ()) -> FilteredLineSampler:
        """Return a sampler of unique lines, lines not in `line_hashes`, or lines that match a regular expression.

        Lines for which any of the `refusals` returns true are dropped, too.

        Raises UsageError for an unknown label, a line break in the prefix or an invalid expression.
        """
        if config.label is not None:
            if not labels:
                raise OptionError("label", "--label", f"{config.label!r}: this model has no labels; "
                                                      "`charlm train FILE --labels` learns them")
            labels.index(config.label)
        if NEWLINE in config.prefix:
            raise OptionError("prefix", "--prefix", "contains a line break; a line of this model never does")
        try:
            pattern = None if match is None else re.compile(match)
        except re.error as error:
            raise OptionError("match", "--match", f"{match!r} is not a regular expression: {error}") from None
        return cls(LineSampler(network, tokenizer, labels), config,
                   LineFilter(unique, line_hashes if novel else None, pattern, tuple(refusals)))

    def with_seed(self, seed: int) -> FilteredLineSampler:
        """Return a fresh sampler of the same lines with another seed."""
        return FilteredLineSampler(self._sampler, replace(self._config, seed=seed), self._filter)

    def lines(self, count: int, *, tries: int | None = None) -> Iterator[list[SampledLine]]:
        """Yield batches of lines that pass the filter, ordered by index. Call this once for each sampler."""
        group: list[SampledLine] = []
        for passed in self._passing(count * self._best_of, tries or max(MIN_TRIES, TRIES_PER_LINE * count) *
                                    self._best_of):
            group += passed
            whole = len(group) // self._best_of * self._best_of
            yield [min(group[at:at + self._best_of], key=lambda line: line.bits_per_character)
                   for at in range(0, whole, self._best_of)]
            group = group[whole:]

    def _passing(self, count: int, tries: int) -> Iterator[list[SampledLine]]:
        if self._sampler.is_deterministic(self._config) and not self._filter.keeps_all:
            tries = 1           # all lines are the same
        while self._passed < count and self.tried < tries:
            missing = count - self._passed
            size = missing if self._filter.keeps_all else max(missing, MIN_BATCH)
            indices = range(self.tried, self.tried + min(size, SIDE_BY_SIDE, tries - self.tried))
            kept = self._apply_filter(self._sampler.sample(indices, self._config))[:missing]
            self._passed += len(kept)
            complete = self._passed == count and not self._filter.keeps_all
            self.tried = kept[-1].index + 1 if complete else indices.stop
            yield kept

    def _apply_filter(self, lines: list[SampledLine]) -> list[SampledLine]:
        unique, known, match = self._filter.unique, self._filter.known, self._filter.match
        if match is not None:
            lines = [line for line in lines if match.search(line.text)]
        if known is not None:
            is_known = known.contains(line.text for line in lines)
            lines = [line for line, drop in zip(lines, is_known, strict=True) if not drop]
        for refusal in self._filter.refusals:
            refused = refusal([line.text for line in lines])
            lines = [line for line, drop in zip(lines, refused, strict=True) if not drop]
        if unique:
            lines = [line for line in lines if self._is_first(line)]
        return lines

    def _is_first(self, line: SampledLine) -> bool:
        """Return True, once, for each text."""
        if line.text in self._seen:
            return False
        self._seen.add(line.text)
        return True
