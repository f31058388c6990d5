"""Drawing one token a row from logits: temperature, top-k, top-p, min-p, repeat penalty.

Order as in Hugging Face `generate`: repeat penalty, temperature, top-k, top-p, min-p. Not here: the
loop that feeds tokens back (generation.py).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from charlm.config import SamplingConfig

REPEAT_WINDOW = 64                      # tokens that the repeat penalty looks back
_BLOCK = 128                            # uniforms drawn at once


class Uniforms:
    """Uniform numbers for each sample from a stream of its own, named by the seed and the sample's key.

    A sample's stream does not depend on which other samples are drawn beside it.
    """

    def __init__(self, seed: int, keys: Iterable[tuple[int, ...]]):
        self._streams = [np.random.Generator(np.random.PCG64([seed, *key])) for key in keys]
        self._at = _BLOCK

    def next(self) -> np.ndarray:
        """The next number in [0, 1) of every sample, (B,)."""
        if self._at == _BLOCK:
            self._block = np.stack([stream.random(_BLOCK) for stream in self._streams], axis=1)
            self._at = 0
        self._at += 1
        return self._block[self._at - 1]


def _penalise_repeats(logits: np.ndarray, recent: np.ndarray, penalty: float) -> None:
    """Divide a recently seen token's logit, or multiply it where negative, in place (Keskar et al.
    2019, section 4.1, with the sign heeded as llama.cpp and Hugging Face do)."""
    rows = np.arange(len(logits))[:, None]
    seen = logits[rows, recent]
    logits[rows, recent] = np.where(seen > 0, seen / penalty, seen * penalty)


def _keep_top_k(logits: np.ndarray, k: int) -> None:
    if 0 < k < logits.shape[1]:
        least = np.partition(logits, -k, axis=1)[:, -k, None]
        logits[logits < least] = -np.inf


def _keep_nucleus(probabilities: np.ndarray, mass: float) -> None:
    """Zero all but the smallest set of tokens that holds `mass` (Holtzman et al. 2020)."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered
    ordered[before >= mass * ordered.sum(axis=1, keepdims=True)] = 0
    ordered[:, 0] = np.maximum(ordered[:, 0], 1e-300)           # the likeliest always stays
    np.put_along_axis(probabilities, order, ordered, axis=1)


def sample_token(logits: np.ndarray, uniforms: np.ndarray, config: SamplingConfig,
           recent: np.ndarray | None = None) -> np.ndarray:
    """Token ids (B,) for logits (B, V), one uniform number a row; -inf is never chosen.

    `recent` (B, R) are the tokens that a repeat penalty applies to. Temperature 0 takes the
    likeliest, the first of equals.
    """
    logits = logits.astype(np.float64)
    if config.repeat_penalty != 1 and recent is not None and recent.size:
        _penalise_repeats(logits, recent, config.repeat_penalty)
    if config.temperature == 0:
        return logits.argmax(axis=1)
    logits -= logits.max(axis=1, keepdims=True)
    if config.temperature != 1:
        # A temperature near zero may overflow to -inf, which is the greedy limit, as it should be.
        with np.errstate(over="ignore"):
            logits /= config.temperature
    _keep_top_k(logits, config.top_k)
    probabilities = np.exp(logits, out=logits)
    if config.top_p < 1:
        _keep_nucleus(probabilities, config.top_p)
    if config.min_p > 0:
        probabilities[probabilities < config.min_p * probabilities.max(axis=1, keepdims=True)] = 0
    cumulative = np.cumsum(probabilities, axis=1, out=probabilities)
    # The first token whose cumulative mass exceeds the draw; a token of no mass never does so first.
    return (cumulative <= uniforms[:, None] * cumulative[:, -1:]).sum(axis=1)
