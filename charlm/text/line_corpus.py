"""From lines, labelled or not, to two sets of examples: to learn from, and held out.

    texts ─► Spool of lines ─► tokenizer fitted, labels counted ─► Examples, Examples

An example is a line's ids between its begin and its end (`special.with_bos_eos`).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from charlm.errors import CorpusError
from charlm.text.examples import Examples
from charlm.text.labels import Labels
from charlm.text.line_hashes import LineHashes, line_hash
from charlm.text.reading import Text, split_lines, strip_line_end
from charlm.text.special_tokens import with_bos_eos
from charlm.text.spool import Spool
from charlm.text.tokenizers import registry
from charlm.text.tokenizers.base import NEWLINE, Tokenizer
from charlm.text.tokenizers.registry import Extendable
from charlm.text.tsv import LABEL_TEXT, TAB, read_pairs

HELD_OUT = 0.05                         # of the different lines
MAX_HELD_OUT = 20_000                  # different lines, unless --validation says otherwise
MAX_EXAMPLE = 1024                  # tokens predicted; a longer line is learned in pieces
FITTED_AT_ONCE = 4096                   # lines

Line = tuple[str, str]                  # label, which is empty where there are none, and text


@dataclass(frozen=True)
class LineCorpus:
    """Lines to learn from and lines held out, as ids; and what the model file says of them."""

    tokenizer: Tokenizer
    labels: Labels | None
    line_hashes: LineHashes
    train: Examples                     # a line of more than MAX_EXAMPLE in pieces
    validation: Examples                # whole lines
    lines: int                          # to learn from
    train_characters: int               # each line's end included, as in the next
    validation_characters: int
    digest: str                         # of all lines

    separate_source = None              # nothing is read but what is written

    @property
    def source_tokenizer(self) -> Tokenizer:
        return self.tokenizer

    @property
    def lengths(self) -> np.ndarray:
        """Tokens predicted in every example."""
        return self.train.lengths - 1

    def describe(self) -> str:
        """One readable line: the sizes of both parts, labels and vocabulary."""
        labels = f"{len(self.labels)} labels, " if self.labels else ""
        return (f"{self.lines:,} lines to learn from, {len(self.validation):,} held out, {labels}"
                f"{self.tokenizer.kind} vocabulary of {self.tokenizer.size:,}")

    def metadata(self) -> dict:
        """What a model file says of its corpus."""
        return {"train_lines": self.lines, "validation_lines": len(self.validation),
                "train_characters": self.train_characters,
                "validation_characters": self.validation_characters,
                "longest_line": int(max(self.lengths.max(), (self.validation.lengths - 1).max())),
                "corpus_digest": self.digest}


def read_lines(text: Text, *, labelled: bool) -> Iterator[Line]:
    """Labels and lines. Raises CorpusError for a line without its label.

    An end of CR LF counts as LF. Blank lines are lines like others, but none where there are labels.
    """
    if labelled:
        yield from read_pairs(text, LABEL_TEXT)
        return
    for line in split_lines(text):
        yield "", strip_line_end(line)


class _Store:
    """The lines of some texts, kept privately to be read again and again, and their hashes."""

    def __init__(self, texts: Iterable[Text], *, labelled: bool):
        self.labelled = labelled
        lines = itertools.chain.from_iterable(read_lines(text, labelled=labelled) for text in texts)
        self._spool = Spool(f"{label}{TAB}{line}{NEWLINE}" if labelled else line + NEWLINE
                            for label, line in lines)
        self.hashes = np.fromiter((line_hash(line) for _, line in self), np.uint64)
        self.digest = self._spool.digest

    def __iter__(self) -> Iterator[Line]:
        for line in split_lines(self._spool):
            label, _, text = line.partition(TAB) if self.labelled else ("", "", line)
            yield label, text

    def where(self, chosen: np.ndarray) -> Iterator[Line]:
        """The lines that are chosen, bool, in their order."""
        return itertools.compress(self, chosen.tolist())

    def close(self) -> None:
        self._spool.close()


def _blocks(texts: Iterable[str]) -> Iterator[str]:
    """Many lines at once, as a tokenizer is fitted much faster to long texts."""
    while some := list(itertools.islice(texts, FITTED_AT_ONCE)):
        yield NEWLINE.join(some) + NEWLINE


def split_long(row: np.ndarray) -> Iterator[np.ndarray]:
    """A with_bos_eos line whole, or in pieces that overlap by the token before each.

    >>> [len(piece) for piece in split_long(np.arange(2050))]
    [1025, 1025, 2]
    """
    for start in range(0, len(row) - 1, MAX_EXAMPLE):
        yield row[start:start + MAX_EXAMPLE + 1]


def _held_out_below(hashes: np.ndarray, fraction: float | None) -> np.uint64:
    """The hash below which a line is held out, so that equal lines are on one side."""
    different = np.unique(hashes)
    wanted = min(len(different) * HELD_OUT, MAX_HELD_OUT) if fraction is None else len(different) * fraction
    return different[min(max(round(wanted), 1), len(different) - 1)]


class _Side:
    """The lines of one side as examples; counts them and their characters on the way."""

    def __init__(self, lines: Iterable[Line], tokenizer: Tokenizer, labels: Labels | None, *, cut: bool):
        self.lines = self.characters = 0
        self._labels = labels
        self._numbers = {name: number for number, name in enumerate(labels.names)} if labels else {}
        size = tokenizer.size + 1 + len(self._numbers)
        rows = self._rows(lines, tokenizer)
        self.examples = Examples(
            itertools.chain.from_iterable(map(split_long, rows)) if cut else rows, vocabulary_size=size)

    def _rows(self, lines: Iterable[Line], tokenizer: Tokenizer) -> Iterator[np.ndarray]:
        for label, text in lines:
            self.lines += 1
            self.characters += len(text) + 1
            number = None
            if self._labels:
                number = self._numbers.get(label)
                if number is None:
                    raise CorpusError(f"label {label!r} is none of the {len(self._labels)} to learn from")
            yield with_bos_eos(tokenizer, tokenizer.encode(text), number)


def build_line_corpus(texts: Sequence[Text], *, labelled: bool, tokenizer: str | Tokenizer | Extendable = "char",
                  labels: Labels | None = None, vocabulary_size: int | None = None,
                  validation: float | Text | None = None) -> LineCorpus:
    """Read, fit, encode. `validation` is a fraction of the different lines, or another text of lines.
    `labels` are those that are known already: there may be no others, unless the tokenizer grows, too.

    Raises CorpusError for a line without its label, and for texts with too few different lines.
    """
    names = ", ".join(text.name for text in texts)
    store = _Store(texts, labelled=labelled)
    if not len(store.hashes):
        raise CorpusError(f"{names}: empty; there is nothing to learn")
    if isinstance(validation, Text):
        limit, other = np.uint64(0), _Store([validation], labelled=labelled)
        held_out, digest = iter(other), store.digest + other.digest
        if not len(other.hashes):
            raise CorpusError(f"{validation.name}: empty; there is nothing to validate on")
    else:
        if (store.hashes == store.hashes[0]).all():
            raise CorpusError(f"{names}: all lines are the same; at least 2 different ones are needed, "
                              "one of them held out")
        limit = _held_out_below(store.hashes, validation)
        held_out, digest = store.where(store.hashes < limit), store.digest
    if labelled and (labels is None or isinstance(tokenizer, Extendable)):
        counts = Counter(label for label, _ in store)
        labels = Labels.from_counts(Counter(labels.names if labels else ()) | counts)
    fitted = registry.train(tokenizer, _blocks(line for _, line in store), vocabulary_size=vocabulary_size)
    train = _Side(store.where(store.hashes >= limit), fitted, labels, cut=True)
    validated = _Side(held_out, fitted, labels, cut=False)
    store.close()
    return LineCorpus(fitted, labels, LineHashes(store.hashes), train.examples, validated.examples,
                      train.lines, train.characters, validated.characters, digest)
