"""Sampling text from a model as a stream, a generator; collecting it is generating a batch of samples side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from charlm.config import SamplingConfig
from charlm.contract import FloatArray, IntArray, Network, State, Tokenizer
from charlm.inference.sampling import REPEAT_WINDOW, Uniforms, sample_token
from charlm.inference.scoring import Measure, token_nats

PROMPT_WINDOW = 1024                    # tokens of a prompt read at once

Key = tuple[int, ...]                   # selects the random numbers of one sample


class StopAt:
    """Passes text through until one of several strings appears; drops that string and everything after it.

    >>> stop = StopAt(["END"])
    >>> stop.push("the E"), stop.push("ND of")
    ('the ', '')
    >>> stop.reached
    True
    """

    def __init__(self, strings: Sequence[str]):
        self._strings = [string for string in strings if string]
        self._held = ""
        self.reached = False

    def push(self, text: str) -> str:
        """Return the part of the text so far that can no longer belong to a stop string."""
        if not self._strings:
            return text
        text = self._held + text
        found = [(at + len(string), at) for string in self._strings if (at := text.find(string)) >= 0]
        if found:
            self._held, self.reached = "", True
            _, start = min(found)       # the first to be complete, regardless of how the text was cut
            return text[:start]
        keep = max((size for string in self._strings for size in range(1, len(string))
                    if text.endswith(string[:size])), default=0)
        self._held = text[len(text) - keep:]
        return text[:len(text) - keep]

    def flush(self) -> str:
        """Return the text that was held back; call this at the end."""
        held, self._held = self._held, ""
        return held


def read_prompt(network: Network, tokenizer: Tokenizer, ids: IntArray) -> tuple[FloatArray, State]:
    """Return the logits (1, V) after the start token and these ids, and the state there."""
    ids = np.concatenate([[tokenizer.start_id], ids]).astype(np.int64)
    state = network.start(1)
    for start in range(0, len(ids), PROMPT_WINDOW):
        logits, state = network.step(ids[None, start:start + PROMPT_WINDOW], state)
    return logits[:, -1], state


class _Text:
    """The text of one sample while it is generated, and the nats of its tokens."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str]):
        self._decoder, self._stop, self._stops = tokenizer.decoder(), StopAt(stop), bool(stop)
        self._unwritten: deque[tuple[int, float]] = deque()     # where each token's text begins, and its nats
        self._decoded = self._written = 0                       # characters

    @property
    def stopped(self) -> bool:
        """True once a stop string has been reached."""
        return self._stop.reached

    def push(self, token: int, nats: float) -> tuple[str, float]:
        """Return the text that is now certain, and the nats of its tokens."""
        if not self._stops:
            return self._decoder.push((token,)), nats
        self._unwritten.append((self._decoded, nats))
        text = self._decoder.push((token,))
        self._decoded += len(text)
        return self._write(self._stop.push(text))

    def flush(self) -> tuple[str, float]:
        """Return the text that was held back, and the nats of all remaining tokens; call this at the end."""
        text = self._stop.push(self._decoder.flush())
        if self.stopped:
            return self._write(text)
        return text + self._stop.flush(), sum(nats for _, nats in self._unwritten)

    def _write(self, text: str) -> tuple[str, float]:
        self._written += len(text)
        nats = 0.0
        while self._unwritten and self._unwritten[0][0] < self._written:
            nats += self._unwritten.popleft()[1]
        return text, nats


def text_of(tokenizer: Tokenizer, tokens: Sequence[int], nats: Sequence[float],
            stop: Sequence[str]) -> tuple[str, float]:
    """Return the text of tokens up to the first stop string, and the nats of the tokens in it."""
    writer, pieces = _Text(tokenizer, stop), []
    for token, cost in zip(tokens, nats, strict=True):
        pieces.append(writer.push(token, cost))
        if writer.stopped:
            break
    else:
        pieces.append(writer.flush())
    return "".join(text for text, _ in pieces), sum(cost for _, cost in pieces)


def generate(network: Network, tokenizer: Tokenizer, prompt: IntArray, config: SamplingConfig, *, length: int,
             seed: int, samples: range = range(1), stop: Sequence[str] = ()) -> Iterator[tuple[int, str]]:
    """Yield (sample number, next piece of text), up to `length` tokens a sample; a text depends only on its number."""
    keys = [(number,) for number in samples]
    for (number,), text, _ in generate_measured(network, tokenizer, prompt, config, length=length, seed=seed, keys=keys,
                                                stop=stop, measure=no_nats):
        if text:
            yield number, text


def generate_measured(network: Network, tokenizer: Tokenizer, prompt: IntArray, config: SamplingConfig, *, length: int,
                      seed: int, keys: Sequence[Key], stop: Sequence[str] = (),
                      measure: Measure = token_nats) -> Iterator[tuple[Key, str, float]]:
    """Yield (key, next piece of text, its nats); a sample's random numbers depend only on the seed and its key.

    The nats are those of the network's own distribution, before temperature and filters, given everything before.
    A token that is cut by a stop string contributes all of its nats to the text.
    """
    writers = {key: _Text(tokenizer, stop) for key in keys}
    rows = _sample_rows(network, tokenizer, prompt, config, length=length, seed=seed, keys=keys, measure=measure)
    for tokens, nats in rows:
        for (key, writer), token, cost in zip(writers.items(), tokens.tolist(), nats.tolist(), strict=True):
            if not writer.stopped:
                text, cost = writer.push(token, cost)
                if text or cost:
                    yield key, text, cost
        if stop and all(writer.stopped for writer in writers.values()):
            return
    for key, writer in writers.items():
        if not writer.stopped:
            yield key, *writer.flush()


def no_nats(logits: FloatArray, targets: IntArray, tokenizer: Tokenizer) -> FloatArray:
    """Return zeros (B,): the measure for callers that need no nats."""
    return np.zeros(len(targets))


def _sample_rows(network: Network, tokenizer: Tokenizer, prompt: IntArray, config: SamplingConfig, *, length: int,
                 seed: int, keys: Sequence[Key], measure: Measure) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield, `length` times, the next token of every sample (B,) and the result of `measure` for it (B,)."""
    logits, state = read_prompt(network, tokenizer, prompt)
    logits = np.repeat(logits, len(keys), axis=0)                       # (B, V)
    state = state.select(np.zeros(len(keys), np.intp))
    recent = np.tile(prompt[-REPEAT_WINDOW:].astype(np.intp), (len(keys), 1))
    uniforms = Uniforms(seed, keys)
    for left in range(length, 0, -1):
        tokens = sample_token(_masked(logits, tokenizer.unsampleable_ids), uniforms.next(), config, recent)
        yield tokens, measure(logits, tokens, tokenizer)
        if config.repeat_penalty != 1:
            recent = np.concatenate([recent, tokens[:, None]], axis=1)[:, -REPEAT_WINDOW:]
        if left > 1:
            logits, state = network.step(tokens[:, None], state)
            logits = logits[:, 0]


def _masked(logits: FloatArray, banned: Sequence[int]) -> FloatArray:
    """Return a copy of logits (B, V) with the banned ids at -inf."""
    masked: FloatArray = logits.copy()
    masked[:, list(banned)] = -np.inf
    return masked


def sample_until_end(network: Network, logits: FloatArray, state: State, *, end: int, banned: Sequence[int],
                     config: SamplingConfig, uniforms: Uniforms, max_length: int, recent: IntArray,
                     measure: Callable[[FloatArray, IntArray], FloatArray] | None = None,
                     nats: Sequence[list[float]] = ()) -> list[list[int]]:
    """Return every row's tokens before `end`, at most `max_length` of them.

    Row b's first token is sampled from logits[b] (B, V), the others after stepping its row of the state. `banned`
    tokens are never sampled. A repeat penalty also applies to the tokens in `recent` (B, R). `measure` takes logits and
    the tokens sampled from them; its results are appended to nats[b], including the one for `end`.
    """
    rows = np.arange(len(logits))
    sampled: list[list[int]] = [[] for _ in rows]
    for left in range(max_length, 0, -1):
        tokens = sample_token(_masked(logits, banned), uniforms.next()[rows], config, recent)
        if measure is not None:
            for row, cost in zip(rows.tolist(), measure(logits, tokens).tolist(), strict=True):
                nats[row].append(cost)
        unfinished = tokens != end
        for row, token in zip(rows[unfinished].tolist(), tokens[unfinished].tolist(), strict=True):
            sampled[row].append(token)
        if left == 1 or not unfinished.any():
            break
        if not unfinished.all():
            rows, tokens, recent = rows[unfinished], tokens[unfinished], recent[unfinished]
            state = state.select(unfinished)
        if config.repeat_penalty != 1:
            recent = np.concatenate([recent, tokens[:, None]], axis=1)[:, -REPEAT_WINDOW:]
        logits, state = network.step(tokens[:, None], state)
        logits = logits[:, 0]
    return sampled
