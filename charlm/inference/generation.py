"""Sampling text from a model as a stream, a generator; collecting it is generating a batch of samples side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from charlm.config import SamplingConfig
from charlm.contract import FloatArray, IntArray, Network, State, Tokenizer
from charlm.inference.sampling import REPEAT_WINDOW, Uniforms, sample_token

PROMPT_WINDOW = 1024                    # tokens of a prompt read at once


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


def generate(network: Network, tokenizer: Tokenizer, prompt: IntArray, config: SamplingConfig, *, length: int,
             seed: int, samples: range = range(1), stop: Sequence[str] = ()) -> Iterator[tuple[int, str]]:
    """Yield (sample number, next piece of text), up to `length` tokens a sample; a text depends only on its number."""
    decoders = {number: (tokenizer.decoder(), StopAt(stop)) for number in samples}
    for tokens in _sample_rows(network, tokenizer, prompt, config, length=length, seed=seed, samples=samples):
        for (number, (decoder, stopper)), token in zip(decoders.items(), tokens.tolist(), strict=True):
            if not stopper.reached and (text := stopper.push(decoder.push((token,)))):
                yield number, text
        if stop and all(stopper.reached for _, stopper in decoders.values()):
            return
    for number, (decoder, stopper) in decoders.items():
        if not stopper.reached and (text := stopper.push(decoder.flush()) + stopper.flush()):
            yield number, text


def _sample_rows(network: Network, tokenizer: Tokenizer, prompt: IntArray, config: SamplingConfig, *, length: int,
                 seed: int, samples: range) -> Iterator[IntArray]:
    """Yield `length` times the next token of every sample, (B,)."""
    logits, state = read_prompt(network, tokenizer, prompt)
    logits = np.repeat(logits, len(samples), axis=0)                    # (B, V)
    state = state.select(np.zeros(len(samples), np.intp))
    recent = np.tile(prompt[-REPEAT_WINDOW:].astype(np.intp), (len(samples), 1))
    uniforms = Uniforms(seed, [(number,) for number in samples])
    for left in range(length, 0, -1):
        logits[:, list(tokenizer.unsampleable_ids)] = -np.inf
        tokens = sample_token(logits, uniforms.next(), config, recent)
        yield tokens
        if config.repeat_penalty != 1:
            recent = np.concatenate([recent, tokens[:, None]], axis=1)[:, -REPEAT_WINDOW:]
        if left > 1:
            logits, state = network.step(tokens[:, None], state)
            logits = logits[:, 0]


def sample_until_end(network: Network, logits: FloatArray, state: State, *, end: int, banned: Sequence[int],
                     config: SamplingConfig, uniforms: Uniforms, max_length: int, recent: IntArray) -> list[list[int]]:
    """Return every row's tokens up to `end`, which is left out, or at most `max_length` of them.

    Row b's first token is sampled from logits[b] (B, V), the others after stepping its row of the state. `banned`
    tokens are never sampled. A repeat penalty also applies to the tokens in `recent` (B, R).
    """
    rows = np.arange(len(logits))
    sampled: list[list[int]] = [[] for _ in rows]
    for left in range(max_length, 0, -1):
        logits[:, banned] = -np.inf
        tokens = sample_token(logits, uniforms.next()[rows], config, recent)
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
