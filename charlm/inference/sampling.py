"""Sampling one token a row: repeat penalty, temperature, top-k, top-p, min-p, ordered as in Hugging Face `generate`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from charlm.config import SamplingConfig
from charlm.contract import FloatArray, IntArray

REPEAT_WINDOW = 64                      # past tokens that the repeat penalty applies to
_BLOCK = 128                            # uniforms drawn at once


class Uniforms:
    """Uniform random numbers, a stream for each sample: seeded with the seed and its key, the same in any batch."""

    def __init__(self, seed: int, keys: Iterable[tuple[int, ...]]):
        self._rngs = [np.random.Generator(np.random.PCG64([seed, *key])) for key in keys]
        self._at = _BLOCK

    def next(self) -> FloatArray:
        """Return the next number in [0, 1) of every sample, (B,)."""
        if self._at == _BLOCK:
            self._block: FloatArray = np.stack([rng.random(_BLOCK) for rng in self._rngs], axis=1)
            self._at = 0
        self._at += 1
        uniforms: FloatArray = self._block[self._at - 1]
        return uniforms


def _penalise_repeats(logits: FloatArray, recent: IntArray, penalty: float) -> None:
    """Divide recent tokens' logits by the penalty (Keskar et al. 2019), or multiply negative ones (as Hugging Face)."""
    rows = np.arange(len(logits))[:, None]
    seen = logits[rows, recent]
    logits[rows, recent] = np.where(seen > 0, seen / penalty, seen * penalty)


def _keep_top_k(logits: FloatArray, k: int) -> None:
    """Set logits below the k-th largest to -inf, in place."""
    if 0 < k < logits.shape[1]:
        smallest = np.partition(logits, -k, axis=1)[:, -k, None]
        logits[logits < smallest] = -np.inf


def _keep_nucleus(probabilities: FloatArray, mass: float) -> None:
    """Zero all but the smallest set of tokens that holds this probability mass, in place (Holtzman et al. 2020)."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered
    ordered[before >= mass * ordered.sum(axis=1, keepdims=True)] = 0
    ordered[:, 0] = np.maximum(ordered[:, 0], 1e-300)           # the likeliest always stays
    np.put_along_axis(probabilities, order, ordered, axis=1)


def sample_token(logits: FloatArray, uniforms: FloatArray, config: SamplingConfig,
                 recent: IntArray | None = None) -> IntArray:
    """Return token ids (B,) sampled from logits (B, V), using one uniform number a row (B,).

    `recent` (B, R) are the tokens that a repeat penalty applies to. A logit of -inf is never sampled. Temperature 0
    takes the likeliest token, the lowest id of equal ones.
    """
    logits = logits.astype(np.float64)
    if config.repeat_penalty != 1 and recent is not None and recent.size:
        _penalise_repeats(logits, recent, config.repeat_penalty)
    if config.temperature == 0:
        likeliest: IntArray = np.argmax(logits, axis=1)
        return likeliest
    logits -= logits.max(axis=1, keepdims=True)
    if config.temperature != 1:
        # A temperature near zero may overflow to -inf, which is the correct greedy limit.
        with np.errstate(over="ignore"):
            logits /= config.temperature
    _keep_top_k(logits, config.top_k)
    probabilities = np.exp(logits, out=logits)
    if config.top_p < 1:
        _keep_nucleus(probabilities, config.top_p)
    if config.min_p > 0:
        probabilities[probabilities < config.min_p * probabilities.max(axis=1, keepdims=True)] = 0
    cumulative = np.cumsum(probabilities, axis=1, out=probabilities)
    # Inverse transform sampling: the first token whose cumulative mass exceeds the scaled uniform number.
    # A token without mass is never the first.
    ids: IntArray = np.count_nonzero(cumulative <= uniforms[:, None] * cumulative[:, -1:], axis=1)
    return ids
