"""A drop-in replacement for KenLM's Python module (Heafield 2011), for charlm models: `import charlm.kenlm as kenlm`.

    model = kenlm.Model("corpus.charlm")
    model.score("this is a sentence .", bos=True, eos=True)

Probabilities are log10. A sentence is split into words at white space, of whatever kind. The probability of a word is
that of its characters and of the space before it, which the first word of a line does not have. It is the probability
that the text continues with these characters, not that the word ends there: that is part of the next space or of
`</s>`, the end of the line. The words and `</s>` therefore add up to the score of the line.

`bos`: the sentence begins a line; otherwise it follows a space without any context before it, if the model knows the
space. A word is out of the vocabulary if any of its characters is. A recurrent network remembers everything that it has
read, so a word's n-gram consists of all words of the line so far, including `<s>`, and `order` has no limit.
"""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from charlm.contract import FloatArray, IntArray
from charlm.errors import CharlmError, UsageError
from charlm.inference.scoring import WINDOW, token_nats
from charlm.model import load
from charlm.text.special_tokens import eos_id, label_id
from charlm.text.tokenizers.base import NEWLINE

BOS, EOS = "<s>", "</s>"
_SPACE = " "
_MAX_POWER = 308                        # 10^x overflows a float for larger x

Score = tuple[float, int, bool]         # log10 probability, length of the n-gram, whether the word is unknown


class LoadMethod:
    """KenLM's ways of loading a file, which have no effect: a charlm model is always read completely."""

    LAZY, POPULATE_OR_LAZY, POPULATE_OR_READ, READ, PARALLEL_READ = range(5)


class ARPALoadComplain:
    """KenLM's settings for complaints about ARPA files, which have no effect."""

    ALL, EXPENSIVE, NONE = range(3)


class Config:
    """KenLM's settings for loading, which have no effect."""

    def __init__(self) -> None:
        self.load_method = LoadMethod.POPULATE_OR_READ
        self.show_progress = True
        self.arpa_complain = ARPALoadComplain.ALL


class FullScoreReturn:
    """The score of a word: log10 probability, words in the n-gram that ends with it, and whether it is unknown."""

    def __init__(self, log_prob: float, ngram_length: int, oov: bool):
        self.log_prob, self.ngram_length, self.oov = log_prob, ngram_length, oov

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.log_prob!r}, {self.ngram_length!r}, {self.oov!r})"


@functools.total_ordering
class State:
    """The context of a word, filled by the methods of a model. A copy shares the arrays, which are never changed."""

    __slots__ = ("before", "words", "inner", "log_labels", "in_line")

    def __init__(self) -> None:
        self.before: IntArray = np.zeros(0, np.int64)       # (L,) the last token, not yet read by the network
        self.words = 0                                      # of the line so far, including <s>
        self.inner: Any = None                              # L rows: one for each label, or a single one
        self.log_labels: FloatArray = np.zeros(0)           # (L,) log p(label and the text so far), up to a constant
        self.in_line = False                                # whether a space precedes the next word

    def assign(self, other: State) -> None:
        """Become a copy of another state."""
        for name in State.__slots__:
            setattr(self, name, getattr(other, name))

    def __copy__(self) -> State:
        copy = State()
        copy.assign(self)
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> State:
        return self.__copy__()

    def _key(self) -> tuple[Any, ...]:
        inner = self.inner
        layers = [] if inner is None else [part.tobytes() for layer in inner.layers for part in layer]
        window = b"" if inner is None or inner.window_tokens is None else inner.window_tokens.tobytes()
        return self.words, self.in_line, self.before.tobytes(), self.log_labels.tobytes(), window, *layers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self._key() == other._key()

    def __lt__(self, other: State) -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())


class Model:
    """A model of running text, lines or labels, with the methods of KenLM's `Model`."""

    def __init__(self, path: str | bytes | os.PathLike[str], config: Config | None = None):
        """Load a model file. Raises OSError for any other file, as KenLM does."""
        self.path: bytes = os.path.abspath(_bytes(os.fspath(path)))
        try:
            loaded = load(os.fsdecode(self.path))
            loaded.scorer()             # refuses models of gaps
            if loaded.task_row.reads_source:
                raise UsageError(f"{loaded.task_row.model_phrase} scores a target given a source")
        except CharlmError as error:
            raise OSError(f"Cannot read model {path!r} ({error})") from error
        self._tokenizer, self._network = loaded.tokenizer, loaded.network
        labels = loaded.stored.labels
        self._log_prior: FloatArray = labels.log_prior() if labels else np.zeros(1)
        begin = label_id(self._tokenizer, 0) if labels else eos_id(self._tokenizer)
        by_line = loaded.task_row.by_line
        self._begin: IntArray = np.arange(begin, begin + len(self._log_prior))
        if not by_line:
            self._begin = np.array([self._tokenizer.start_id])
        self._end = np.array([eos_id(self._tokenizer)]) if by_line else self._encode(NEWLINE)
        self._space = self._encode(_SPACE)

    @property
    def order(self) -> int:
        """The maximum length of an n-gram: unlimited."""
        return sys.maxsize

    def score(self, sentence: str | bytes, bos: bool = True, eos: bool = True) -> float:
        """Return the log10 probability of a sentence; with `eos`, including its end."""
        return float(sum(score for score, _, _ in self.full_scores(sentence, bos, eos)))

    def perplexity(self, sentence: str | bytes) -> float:
        """Return 10^(-score / words), with the end of the sentence counted as a word."""
        power = -self.score(sentence) / (len(_words(sentence)) + 1)
        return math.pow(10, power) if power < _MAX_POWER else math.inf

    def full_scores(self, sentence: str | bytes, bos: bool = True, eos: bool = True) -> Iterator[Score]:
        """Yield (log10 probability, length of the n-gram, whether it is unknown) for each word and the end."""
        state = State()
        if bos:
            self.BeginSentenceWrite(state)
        else:
            self.NullContextWrite(state)
        yield from self._read(state, [*_words(sentence), *([EOS] if eos else [])], state)

    def BeginSentenceWrite(self, state: State) -> None:
        """Set a state to the beginning of a line."""
        state.before, state.log_labels, state.words, state.in_line = self._begin, self._log_prior, 1, False
        state.inner = self._network.start(len(self._begin))

    def NullContextWrite(self, state: State) -> None:
        """Set a state to a position after a space, without context before it."""
        self.BeginSentenceWrite(state)
        state.words = 0
        if not self._is_unknown(self._space):
            state.before = np.repeat(self._space[-1:], len(self._begin))

    def BaseScore(self, in_state: State, word: str, out_state: State) -> float:
        """Return the log10 probability of a word after a state, and set `out_state` to the state after the word."""
        return self.BaseFullScore(in_state, word, out_state).log_prob

    def BaseFullScore(self, in_state: State, word: str, out_state: State) -> FullScoreReturn:
        """Do the same as `BaseScore`; also return the length of the n-gram and whether the word is unknown."""
        score, = self._read(in_state, [_text(word)], out_state)
        return FullScoreReturn(*score)

    def __contains__(self, word: str | bytes) -> bool:
        text = _text(word)
        return text in (BOS, EOS) or bool(text) and not self._is_unknown(self._encode(text))

    def __repr__(self) -> str:
        return f"<Model from {os.path.basename(self.path)!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)

    def _encode(self, text: str) -> IntArray:
        return self._tokenizer.encode(text).astype(np.int64)

    def _is_unknown(self, ids: IntArray) -> bool:
        return bool((ids == self._tokenizer.unknown_id).any())

    def _read(self, state: State, words: list[str], end: State) -> list[Score]:
        """Return the full scores of words after a state, and set `end` to the state after them."""
        if state.inner is None:
            raise ValueError("the state is empty; set it with BeginSentenceWrite or NullContextWrite")
        rows, lengths, unknown = [], [], []
        length, in_line = state.words, state.in_line
        for word in words:
            is_end = word == EOS
            row = self._end if is_end else self._encode(_SPACE + word if in_line else word)
            unknown.append(not is_end and self._is_unknown(row))
            length += 1
            rows.append(row)
            lengths.append(length)
            length, in_line = (1, False) if is_end else (length, True)
        after = State()
        after.assign(state)
        nats = self._nats(np.concatenate([np.zeros(0, np.int64), *rows]), after)
        after.words, after.in_line = length, in_line
        end.assign(after)
        ends = np.cumsum([0, *map(len, rows)])
        sums = np.concatenate([[0.0], np.cumsum(nats)])
        scores = (sums[ends[:-1]] - sums[ends[1:]]) / math.log(10)
        return list(zip(scores.tolist(), lengths, unknown, strict=True))

    def _nats(self, ids: IntArray, state: State) -> FloatArray:
        """Return -log p of ids (T,), under the mixture of labels if there are any, and advance the state past them."""
        found: list[FloatArray] = [np.zeros(0)]
        for at in range(0, len(ids), WINDOW):
            targets = np.tile(ids[at:at + WINDOW], (len(state.before), 1))                      # (L, T)
            read = np.concatenate([state.before[:, None], targets[:, :-1]], axis=1)
            logits, state.inner = self._network.step(read, state.inner)
            below = -token_nats(logits, targets, self._tokenizer).cumsum(axis=1)
            joint = state.log_labels[:, None] + np.concatenate([np.zeros((len(targets), 1)), below], axis=1)
            found.append(-np.diff(np.logaddexp.reduce(joint, axis=0)))
            state.before, state.log_labels = targets[:, -1], joint[:, -1]
        return np.concatenate(found)


class LanguageModel(Model):
    """`Model`, by its name in older versions of KenLM."""


def _bytes(data: Any) -> bytes:
    """Return the bytes of anything that KenLM accepts as a string. Raises TypeError for anything else."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode("utf-8", "surrogateescape")
    raise TypeError(f"Cannot convert {type(data)} to string")


def _text(data: str | bytes) -> str:
    return _bytes(data).decode("utf-8", "replace")


def _words(sentence: str | bytes) -> list[str]:
    """Return the words of a sentence, split at ASCII white space, because KenLM splits bytes.

    >>> _words(" a\\u00a0b  c\\n")
    ['a\\xa0b', 'c']
    """
    return [word.decode("utf-8", "replace") for word in _bytes(sentence).split()]
