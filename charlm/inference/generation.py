"""Text from a model, as a stream: sample after sample, or several side by side.

A stream is a generator; collecting it is all that "generate a batch" means. Not here: how one token
is drawn (sampling.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from charlm.config import SamplingConfig
from charlm.inference.network import Network
from charlm.inference.sampling import REPEAT_WINDOW, Uniforms, sample_token
from charlm.inference.state import State
from charlm.text.tokenizers.base import Tokenizer

PROMPT_WINDOW = 1024                    # tokens of a prompt read at once


class StopAt:
    """Passes text on until one of some strings appears; that string and all after it are dropped.

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
        """Whatever of the text so far can no longer be part of a stop string."""
        text = self._held + text
        found = [(at + len(string), at) for string in self._strings if (at := text.find(string)) >= 0]
        if found:
            self._held, self.reached = "", True
            _, start = min(found)       # the first to be complete, however the text was cut
            return text[:start]
        keep = max((size for string in self._strings for size in range(1, len(string))
                    if text.endswith(string[:size])), default=0)
        self._held = text[len(text) - keep:]
        return text[:len(text) - keep]

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held


def read_prompt(network: Network, tokenizer: Tokenizer, ids: np.ndarray) -> tuple[np.ndarray, State]:
    """Logits (1, V) after the start token and these ids, and the state there."""
    ids = np.concatenate([[tokenizer.start_id], ids]).astype(np.int64)
    state = network.start(1)
    for start in range(0, len(ids), PROMPT_WINDOW):
        logits, state = network.step(ids[None, start:start + PROMPT_WINDOW], state)
    return logits[:, -1], state


def generate(network: Network, tokenizer: Tokenizer, prompt: np.ndarray, config: SamplingConfig, *,
             length: int, seed: int, samples: range = range(1),
             stop: Sequence[str] = ()) -> Iterator[tuple[int, str]]:
    """Pairs of (sample number, next piece of its text), at most `length` tokens a sample.

    Samples of the range are drawn side by side; each is the same text in whatever range it stands.
    """
    logits, state = read_prompt(network, tokenizer, prompt)
    logits = np.repeat(logits, len(samples), axis=0)                    # (B, V)
    state = state.select(np.zeros(len(samples), np.intp))
    recent = np.tile(prompt[-REPEAT_WINDOW:].astype(np.intp), (len(samples), 1))
    numbers = list(samples)
    decoders = {number: (tokenizer.decoder(), StopAt(stop)) for number in numbers}
    uniforms = Uniforms(seed, [(number,) for number in samples])
    for left in range(length, 0, -1):
        for token in tokenizer.unsampleable_ids:
            logits[:, token] = -np.inf
        tokens = sample_token(logits, uniforms.next(), config, recent)
        for number, token in zip(numbers, tokens.tolist()):
            decoder, stopper = decoders[number]
            if not stopper.reached and (text := stopper.push(decoder.push((token,)))):
                yield number, text
        if stop and all(stopper.reached for _, stopper in decoders.values()):
            return
        if config.repeat_penalty != 1:
            recent = np.concatenate([recent, tokens[:, None]], axis=1)[:, -REPEAT_WINDOW:]
        if left > 1:
            logits, state = network.step(tokens[:, None], state)
            logits = logits[:, 0]
    for number, (decoder, stopper) in decoders.items():
        if not stopper.reached and (text := stopper.push(decoder.flush()) + stopper.flush()):
            yield number, text


def sample_until_end(network: Network, logits: np.ndarray, state: State, *, end: int, banned: Sequence[int],
                  config: SamplingConfig, uniforms: Uniforms, max_length: int,
                  recent: np.ndarray) -> list[list[int]]:
    """Tokens of every row until `end`, which is left out, or until there are `max_length`.

    Row b begins with a token of logits[b] (B, V) and goes on from its row of the state. Tokens in `banned`
    are not written; a repeat penalty looks back at `recent` (B, R), too.
    """
    rows = np.arange(len(logits))
    written: list[list[int]] = [[] for _ in rows]
    for left in range(max_length, 0, -1):
        logits[:, banned] = -np.inf
        tokens = sample_token(logits, uniforms.next()[rows], config, recent)
        going = tokens != end
        for row, token in zip(rows[going].tolist(), tokens[going].tolist()):
            written[row].append(token)
        if left == 1 or not going.any():
            break
        if not going.all():
            rows, tokens, state, recent = rows[going], tokens[going], state.select(going), recent[going]
        if config.repeat_penalty != 1:
            recent = np.concatenate([recent, tokens[:, None]], axis=1)[:, -REPEAT_WINDOW:]
        logits, state = network.step(tokens[:, None], state)
        logits = logits[:, 0]
    return written
