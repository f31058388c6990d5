"""Turn lines, labelled or not, into training and held-out examples: a line's ids between begin and end tokens.

    texts ─► LineSpool ─► trained tokenizer, counted labels ─► Examples, Examples
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlm.contract import BoolArray, IntArray, Tokenizer
from charlm.errors import CorpusError
from charlm.text.examples import Examples
from charlm.text.labels import Labels
from charlm.text.line_hashes import LineHashes
from charlm.text.reading import Text, batched, names_of, split_lines, strip_line_end
from charlm.text.remarks import blank_remark, duplicate_remark, overlap_remark, shared_lines
from charlm.text.remembered import LENGTH, Remembered
from charlm.text.rolling_hashes import hashes_within_lines
from charlm.text.special_tokens import with_bos_eos_each
from charlm.text.spool import LineSpool
from charlm.text.temporary import IN_TMPDIR, TemporaryFiles
from charlm.text.token_cache import smallest_dtype
from charlm.text.tokenizers import registry
from charlm.text.tokenizers.base import NEWLINE
from charlm.text.tokenizers.registry import Extendable
from charlm.text.tsv import LABEL_TEXT, read_pairs

HELD_OUT = 0.05                         # of the different lines
MAX_HELD_OUT = 20_000                   # different lines, unless --validation gives a fraction
MAX_BLANK = 0.01                        # of the lines: where more are blank, they separate lines and are left out
MAX_EXAMPLE = 1024                      # predicted tokens; a longer line is split
LINES_PER_BLOCK = 4096                  # for training the tokenizer

LabelledLine = tuple[str, str]          # (label, text); the label is empty in an unlabelled corpus


@dataclass(frozen=True)
class LineCorpus:
    """Lines to learn from and lines held out, as ids, with what the model file stores about them."""

    tokenizer: Tokenizer
    labels: Labels | None
    line_hashes: LineHashes
    train: Examples                     # lines longer than MAX_EXAMPLE are split
    validation: Examples                # whole lines
    lines: int                          # to learn from
    train_characters: int               # each line's end counts as one
    validation_characters: int          # likewise
    digest: str                         # of all lines that are not left out
    blank: int = 0                      # lines that are left out
    remarks: tuple[str, ...] = ()       # what the user should know about it
    remembered: Remembered | None = None        # filter of the training lines

    separate_source = None              # there is no source

    @property
    def source_tokenizer(self) -> Tokenizer:
        """The tokenizer of the lines, for want of a source."""
        return self.tokenizer

    @property
    def lengths(self) -> IntArray:
        """The number of predicted tokens of each example."""
        return self.train.lengths - 1

    def describe(self) -> str:
        """Return one readable line with the sizes of both parts, the labels and the vocabulary."""
        labels = f"{len(self.labels)} labels, " if self.labels else ""
        return (f"{self.lines:,} lines to learn from, {len(self.validation):,} held out, {labels}"
                f"{self.tokenizer.kind} vocabulary of {self.tokenizer.size:,}")

    def metadata(self) -> dict[str, Any]:
        """Return what a model file records about its corpus."""
        blank = {"blank_lines_left_out": self.blank} if self.blank else {}
        return {**blank, "train_lines": self.lines, "validation_lines": len(self.validation),
                "train_characters": self.train_characters, "validation_characters": self.validation_characters,
                "longest_line": int(max(self.lengths.max(), (self.validation.lengths - 1).max())),
                "corpus_digest": self.digest}


def read_lines(text: Text, *, labelled: bool) -> Iterator[LabelledLine]:
    """Yield (label, line) without line ends; labelled text skips blank lines. Raises CorpusError for a bad line."""
    if labelled:
        return read_pairs(text, LABEL_TEXT)
    return (("", strip_line_end(line)) for line in split_lines(text.by_line()))


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """Yield many lines at once, because tokenizers learn much faster from long texts."""
    for block in batched(lines, LINES_PER_BLOCK):
        yield NEWLINE.join(block) + NEWLINE


def split_long(row: IntArray) -> Iterator[IntArray]:
    """Yield an example whole, or in pieces that each begin with the last token of the piece before.

    >>> [len(piece) for piece in split_long(np.arange(2050))]
    [1025, 1025, 2]
    """
    for start in range(0, len(row) - 1, MAX_EXAMPLE):
        yield row[start:start + MAX_EXAMPLE + 1]


def _split_all(ids: IntArray, lengths: IntArray) -> tuple[IntArray, IntArray]:
    """Return concatenated examples and their lengths, with long examples split into pieces."""
    if not (lengths > MAX_EXAMPLE + 1).any():
        return ids, lengths
    pieces = [*itertools.chain.from_iterable(map(split_long, np.split(ids, np.cumsum(lengths)[:-1])))]
    return np.concatenate(pieces), np.array([*map(len, pieces)], np.int64)


def _rows(lines: Iterable[LabelledLine], tokenizer: Tokenizer,
          labels: Labels | None) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield batches of lines, each framed by its begin or label token and the end token.

    Raises CorpusError for an unknown label.
    """
    indices = {name: index for index, name in enumerate(labels.names)} if labels else {}
    for batch in batched(lines):
        if indices and (unknown := next((label for label, _ in batch if label not in indices), None)) is not None:
            raise CorpusError(f"label {unknown!r} is not one of the {len(indices)} to learn from")
        its_labels = np.array([indices[label] for label, _ in batch], np.int64) if indices else None
        yield with_bos_eos_each(tokenizer, *tokenizer.encode_each([line for _, line in batch]), its_labels)


def build_line_corpus(texts: Sequence[Text], *, labelled: bool, tokenizer: str | Tokenizer | Extendable = "char",
                      labels: Labels | None = None, vocabulary_size: int | None = None,
                      validation: float | Text | None = None, keep_blank: bool = False,
                      remember: bool = False, files: TemporaryFiles = IN_TMPDIR) -> LineCorpus:
    """Read lines, train a tokenizer of this kind (or use or extend the given one), and encode.

    `validation` is a fraction of the distinct lines, or another text. `labels` are those of an existing model; new ones
    are allowed only if its tokenizer is extended. If there are more than a few blank lines, they are left out unless
    `keep_blank`. `remember` keeps a filter of the training lines. Raises CorpusError for a line without its label, and
    for texts with too few distinct lines.
    """
    parts = _read_parts(texts, validation, labelled=labelled, keep_blank=keep_blank, files=files)
    lines, mask = parts.lines, parts.mask
    if labelled and (labels is None or isinstance(tokenizer, Extendable)):
        labels = Labels.from_counts(Counter(labels.names if labels else ()) | Counter(label for label, _ in lines))
    trained = registry.train(tokenizer, _blocks(line for _, line in lines), vocabulary_size=vocabulary_size)
    size = trained.size + 1 + len(labels or ())
    rows = itertools.starmap(_split_all, _rows(lines.select(~mask), trained, labels))
    files.announce("the token cache", (lines.lengths + 2).sum() * smallest_dtype(size).itemsize)
    train = Examples(rows, vocabulary_size=size, file=files.open())
    held_out_examples = Examples(_rows(parts.held_out(), trained, labels), vocabulary_size=size, file=files.open())
    lengths = lines.lengths[~mask]
    return LineCorpus(trained, labels, LineHashes(lines.hashes), train, held_out_examples, len(lengths),
                      int((lengths + 1).sum()), int((parts.held_out_lengths + 1).sum()), parts.digest, parts.blank,
                      parts.remarks(), Remembered.of(lambda: hashes_within_lines(
                          _blocks(line for _, line in lines.select(~mask)), LENGTH)) if remember else None)


@dataclass(frozen=True)
class _Parts:
    """The lines, and which of them, or which other lines, are held out."""

    lines: LineSpool
    mask: BoolArray                     # of the lines that are held out
    other: LineSpool | None             # a separate held-out text
    read: int                           # lines, those that are left out among them
    blank: int                          # lines that are left out

    @property
    def digest(self) -> str:
        return self.lines.digest + (self.other.digest if self.other else "")

    @property
    def held_out_lengths(self) -> IntArray:
        return self.other.lengths if self.other else self.lines.lengths[self.mask]

    def held_out(self) -> Iterator[LabelledLine]:
        return iter(self.other) if self.other else self.lines.select(self.mask)

    def remarks(self) -> tuple[str, ...]:
        shared = overlap_remark(shared_lines(self.lines, self.other), "lines") if self.other else ""
        return tuple(filter(None, (blank_remark(self.read, self.blank), duplicate_remark(self.lines), shared)))


def _read_parts(texts: Sequence[Text], validation: float | Text | None, *, labelled: bool, keep_blank: bool,
                files: TemporaryFiles) -> _Parts:
    """Read all lines. Blank ones are left out unless they are few or kept. Raises CorpusError if too few remain."""
    def spool(texts: Sequence[Text]) -> LineSpool:
        lines = itertools.chain.from_iterable(read_lines(text, labelled=labelled) for text in texts)
        return LineSpool(lines, key=1, labelled=labelled, files=files)

    names = names_of(texts)
    spools = [spool(texts), *([spool(validation.parts)] if isinstance(validation, Text) else [])]
    read, blank = sum(map(len, spools)), sum(int(one.blank.sum()) for one in spools)
    if keep_blank or all(one.blank.sum() <= MAX_BLANK * len(one) for one in spools):
        blank = 0
    if blank:
        spools = [one.without_blank() for one in spools]
    lines, *others = spools
    if not len(lines):
        raise CorpusError(f"{names}: empty; there is nothing to learn")
    if isinstance(validation, Text):
        if not len(others[0]):
            raise CorpusError(f"{validation.name}: empty; there is nothing to validate on")
        return _Parts(lines, np.zeros(len(lines), bool), others[0], read, blank)
    if (lines.hashes == lines.hashes[0]).all():
        reason = "all lines are the same" if len(lines) > 1 else "one line only"
        raise CorpusError(f"{names}: {reason}; at least 2 different lines are needed, one of them held out")
    return _Parts(lines, lines.held_out(validation, HELD_OUT, MAX_HELD_OUT), None, read, blank)
