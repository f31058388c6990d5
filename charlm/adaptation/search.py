"""A search for the settings with which a model adapts best to text that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace

import numpy as np

from charlm.adaptation.adapter import Adapter
from charlm.adaptation.head import FINE_SCALE
from charlm.adaptation.scoring import row_states, start_mask
from charlm.config import AdaptationSettings, ModelConfig
from charlm.contract import IntArray
from charlm.inference.network import Network

MAX_TOKENS = 12_000                     # held-out tokens that are read
MIN_TOKENS = 1_000                      # fewer say nothing about what suits a longer text
_COST = 1.6e10                          # multiplications of one reading, about
_COST_OF_TOKEN, _COST_OF_CHOICE = 300_000, 2_000        # of adaptation, of each token and of each token it may be
_FACTORS = {"concentration": 3.0, "head_rate": 2.0, "count_weight": 2.0}     # steps of the search
_MAX_STEPS = 3                          # of one setting
UNCHANGED = AdaptationSettings(head_rate=0, head_pull=0, count_weight=0, mixing_rate=0)     # the model as it is


def token_budget(config: ModelConfig) -> int:
    """Return how many held-out tokens the search reads: no more than take a few seconds, and 0 if that is too few."""
    weights = sum(int(np.prod(shape)) for shape in config.parameter_shapes().values())
    tokens = int(_COST / (weights + _COST_OF_TOKEN + _COST_OF_CHOICE * config.vocabulary_size))
    return min(tokens, MAX_TOKENS) if tokens >= MIN_TOKENS else 0


def take(rows: Iterable[IntArray], tokens: int) -> list[IntArray]:
    """Return the first rows with this many predicted tokens in all, the last one cut; none if there are too few."""
    taken, left = [], tokens
    for row in rows:
        taken.append(row[:left + 1])
        left -= len(taken[-1]) - 1
        if left <= 0:
            break
    return taken if tokens - left >= MIN_TOKENS else []


def find_settings(network: Network, rows: Sequence[IntArray]) -> AdaptationSettings:
    """Return the settings with the lowest loss on rows, of which every id but the first is predicted.

    One setting after the other is multiplied or divided by a factor as long as that lowers the loss.
    """
    states = np.concatenate(row_states(network, rows))
    targets, starts = np.concatenate([row[1:] for row in rows]), start_mask(rows)

    def loss(settings: AdaptationSettings) -> float:
        adapter = Adapter(*network.head, settings, state_scale=FINE_SCALE)
        return float(adapter.nats(states, targets, starts).mean())

    best = AdaptationSettings()
    lowest = loss(best)
    for name, factor in _FACTORS.items():
        for direction in (1 / factor, factor):
            before = lowest
            for settings in _line(best, name, direction):
                if (found := loss(settings)) >= lowest:
                    break
                best, lowest = settings, found
            if lowest < before:
                break
    return best if lowest < loss(UNCHANGED) else UNCHANGED


def _line(settings: AdaptationSettings, name: str, factor: float) -> Iterator[AdaptationSettings]:
    """Yield the settings with one of them multiplied by a factor, repeatedly."""
    for _ in range(_MAX_STEPS):
        settings = replace(settings, **{name: round(asdict(settings)[name] * factor, 6)})
        yield settings
