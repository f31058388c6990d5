"""The parts of a text that a loss divides into, and the edits that lead from what was written to what was wanted."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence

import numpy as np

from charlm.contract import FloatArray, IntArray, Tokenizer
from charlm.inference.line_scoring import TextScore, spans
from charlm.text.tokenizers.base import NEWLINE

KINDS = ("word start", "inside word", "unseen name", "unseen word", "digit", "space", "punctuation", "line end")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def words_of(text: str) -> set[str]:
    """Return the different words of a text: letters, with apostrophes between them.

    >>> sorted(words_of("It's 2 o'clock, isn't it?"))
    ["It's", "isn't", 'it', "o'clock"]
    """
    return set(_WORD.findall(text))


def character_kinds(text: str, known: Container[str] | None = None) -> IntArray:
    """Return the index in KINDS of each character's kind, (C,).

    All letters of a word that is not among the `known` ones are of an unseen name if it begins with a capital, else of
    an unseen word. A carriage return before a newline belongs to the line end.
    """
    letters = {**dict.fromkeys(text, "punctuation"), NEWLINE: "line end"}
    letters |= {character: "digit" if character.isdigit() else "space" for character in letters
                if character.isdigit() or character.isspace() and character != NEWLINE}
    index = {name: number for number, name in enumerate(KINDS)}
    kinds = np.array([index[letters[character]] for character in text], np.int64)
    for found in _WORD.finditer(text):
        start, stop = found.span()
        if known is None or found[0] in known:
            kinds[start], kinds[start + 1:stop] = index["word start"], index["inside word"]
        else:
            kinds[start:stop] = index["unseen name" if found[0][0].isupper() else "unseen word"]
    for found in re.finditer(r"\r+(?=\n)", text):
        kinds[found.start():found.end()] = index["line end"]
    return kinds


def nats_by_character(scores: Sequence[TextScore], nats: FloatArray, tokenizer: Tokenizer) -> tuple[str, FloatArray]:
    """Return the text of consecutive scores, and for each character of it the share in its tokens' `nats` (T,)."""
    texts, shares = [], []
    at = 0
    for score in scores:
        for text, first, stop in spans(score, tokenizer):
            texts.append(text)
            shares.append(np.full(len(text), nats[at + first:at + stop].sum() / len(text)))
        at += len(score.nats)
    return "".join(texts), np.concatenate([np.zeros(0), *shares])


def edits(written: Sequence[str], wanted: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (wanted, written) of each edit in a shortest sequence of them; an empty string stands for nothing.

    >>> list(edits("kitten", "sitting"))
    [('s', 'k'), ('i', 'e'), ('g', '')]
    """
    costs = np.zeros((len(written) + 1, len(wanted) + 1), np.int64)
    costs[:, 0], costs[0] = np.arange(len(written) + 1), np.arange(len(wanted) + 1)
    for row, one in enumerate(written, 1):
        for column, other in enumerate(wanted, 1):
            costs[row, column] = min(costs[row - 1, column - 1] + (one != other), costs[row - 1, column] + 1,
                                     costs[row, column - 1] + 1)
    found, row, column = [], len(written), len(wanted)
    while row or column:
        one, other = written[row - 1] if row else "", wanted[column - 1] if column else ""
        if row and column and costs[row, column] == costs[row - 1, column - 1] + (one != other):
            row, column = row - 1, column - 1
        elif column and costs[row, column] == costs[row, column - 1] + 1:
            column, one = column - 1, ""
        else:
            row, other = row - 1, ""
        if one != other:
            found.append((other, one))
    yield from reversed(found)
