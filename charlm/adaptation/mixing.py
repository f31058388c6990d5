"""The head's distribution, raised for the tokens that followed the same contexts before.

p(v) ~ p0(v) * product over orders of (1 + c(v) / (a p0(v)))^w: the posterior mean of a Dirichlet prior around the
head's p0 with concentration a, as a feature of a log-linear mixture (Mahoney 2005 mixes bits so). What has not been
seen in a context has the factor 1, so that only counted tokens cost time. The weights w, for each order and number of
different followers, learn by gradient descent (Adagrad; Duchi et al. 2011).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from charlm.adaptation.counts import ORDERS, SLOTS
from charlm.adaptation.exact import Floats, Integers, integer_weights, log_from_one, power, shares
from charlm.config import AdaptationSettings
from charlm.contract import IntArray

_LOGIT_SCALE = 2.0 ** 32                # sums of raised logits are whole multiples of 1 over it
_FEATURE_SCALE = 2.0 ** 12
_SHARE_SCALE = 2.0 ** 20
_GRADIENT_SCALE = 2.0 ** 14
_MAX_FEATURE = 32.0                     # see log_from_one
_MAX_WEIGHT = 2.0
_FIRST_BUCKETS = np.arange(ORDERS) * (SLOTS + 1)        # of each order
_FIRST_SQUARES = _GRADIENT_SCALE ** 2   # Adagrad's sum of squared gradients begins with 1


class Mixture(NamedTuple):
    """Distributions of N positions, and what the mixing weights learn from."""

    weights: Integers                   # (N, V), proportional to probabilities
    tokens: IntArray                    # (N, ORDERS, SLOTS)
    features: Floats                    # (N, ORDERS, SLOTS), 0 for an empty slot
    buckets: IntArray                   # (N, ORDERS), indices of mixing weights


class Mixer:
    """The mixing weights, (ORDERS * (SLOTS + 1),)."""

    def __init__(self, settings: AdaptationSettings):
        self._settings = settings
        self._weights = np.full(ORDERS * (SLOTS + 1), settings.count_weight)
        self._squares = np.full(len(self._weights), _FIRST_SQUARES)

    def mix(self, weights: Integers, tokens: IntArray, counts: IntArray) -> Mixture:
        """Return the mixture of the head's integer weights (N, V) with followers and counts (N, ORDERS, SLOTS)."""
        length, size = weights.shape
        seen = counts.ravel().nonzero()[0]
        positions, found = tokens.ravel()[seen], counts.ravel()[seen]
        totals = weights.sum(axis=1) / self._settings.concentration
        if length > 1:                                                      # indices in the flat (N, V)
            rows = seen // (ORDERS * SLOTS)
            positions += rows * size
            totals = totals[rows]
        features = log_from_one(found * totals / weights.ravel()[positions] + 1.0)     # c / (a p0)
        buckets = (counts != 0).sum(axis=2) + _FIRST_BUCKETS
        raised = np.rint(self._weights[buckets].ravel()[seen // SLOTS] * features * _LOGIT_SCALE)
        mixed = power(np.multiply(np.bincount(positions, raised, length * size), 1 / _LOGIT_SCALE))
        mixed *= weights.ravel()
        every = np.zeros(counts.shape)
        every.ravel()[seen] = features
        return Mixture(integer_weights(mixed.reshape(length, size)), tokens, every, buckets)

    def learn(self, mixture: Mixture, tokens: IntArray) -> None:
        """Take one step towards the tokens (N,) that followed."""
        rows = np.arange(len(tokens))[:, None, None]
        errors = np.rint(shares(mixture.weights)[rows, mixture.tokens] * _SHARE_SCALE)
        errors -= _SHARE_SCALE * (mixture.tokens == tokens[:, None, None])
        sums = (np.rint(mixture.features * _FEATURE_SCALE) * errors).sum(axis=2)
        gradients = np.rint(sums * (_GRADIENT_SCALE / (_FEATURE_SCALE * _SHARE_SCALE))).ravel()
        buckets, size = mixture.buckets.ravel(), len(self._weights)
        self._squares += np.bincount(buckets, gradients * gradients, size)
        step = self._settings.mixing_rate * np.bincount(buckets, gradients, size) / np.sqrt(self._squares)
        self._weights = np.clip(self._weights - step, -_MAX_WEIGHT, _MAX_WEIGHT)
