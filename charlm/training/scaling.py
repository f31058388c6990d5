"""The law that plans training on running text: the loss and the best dropout for a text, a width and a length.

With T training tokens, hidden size h, p passes and dropout d, a run ends at

    loss = yardstick · LEVEL · (min(T, 10⁶) / 10⁶)^GROWTH
           · (1 + lacking · e^(d · DROPOUT_COST) + overfitting · e^(-d · DROPOUT_RELIEF))
    lacking = CAPACITY · (h / 256)^-CAPACITY_POWER + LEARNING · ((p · T + LEARNING_START) / 10⁶)^-LEARNING_POWER
    overfitting = OVERFITTING · ((h / 256)^OVERFITTING_WIDTH · (p / 10)^OVERFITTING_PASSES · 10⁵ / T)^OVERFITTING_POWER

nats per held-out token. The yardstick is an n-gram model's loss on the text (`charlm.training.yardstick`).

A run of a few hundred updates has learnt little more than which characters follow each other, and ends at

    loss = bigrams · BEGINNING · (symbols / 100)^SYMBOLS · s^-BEGINNING_POWER · (h / 64)^-BEGINNING_WIDTH
           · (level / bigrams)^(SHARE + SHARE_GROWTH · log s)

with s = updates / BEGINNING_STEPS, the loss `bigrams` of a bigram model, the number of token ids `symbols`, and level =
yardstick · (min(T, 10⁶) / 10⁶)^GROWTH. The higher of the two is expected, and plans are made with the first alone.

The numbers are those that tests/benchmarks/fit_scaling.py and short_runs.py print. The first law comes from 504 runs of
two LSTM layers with 32 lanes, windows of 64, weight decay 0.1 and Muon: 18 texts of 0.1 to 11 MB, hidden size 64 to
768, 0.3 to 40 passes. On a text that the fit has not seen the expected loss is off by 0.07 nats (root mean square);
runs on one text are compared to about 0.03. The second comes from 57 runs on 37 texts: hidden size 64 to 128, 122 to
488 updates. On a text that the fit has not seen it is off by 5 % (root mean square), 2 % in the median.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WIDTH = 256                             # hidden size at which the powers of the width are 1
LEVEL, GROWTH = 0.452, 0.083
CAPACITY, CAPACITY_POWER = 0.316, 0.550
LEARNING, LEARNING_POWER, LEARNING_START = 0.643, 0.371, 2e4
OVERFITTING, OVERFITTING_POWER = 0.465, 0.920
OVERFITTING_WIDTH, OVERFITTING_PASSES = 1.580, 1.459
DROPOUT_COST, DROPOUT_RELIEF = 0.397, 2.423
MAX_DROPOUT = 0.6
BEGINNING, BEGINNING_POWER, BEGINNING_WIDTH, BEGINNING_STEPS = 0.985, 0.047, 0.169, 244
SYMBOLS, SHARE, SHARE_GROWTH = 0.074, 0.338, 0.514


@dataclass(frozen=True)
class Yardsticks:
    """The losses of n-gram models on a text, in nats per held-out token, and its number of token ids."""

    ngrams: float                       # of an eighth of the text
    bigrams: float
    symbols: int


def text_dropout(tokens: int, hidden_size: int, passes: float) -> float:
    """Return the dropout with the least expected loss, in twentieths."""
    return round(20 * _best_dropout(*_terms(tokens, hidden_size, passes))) / 20


def expected_text_loss(yardstick: float, tokens: int, hidden_size: int, passes: float) -> float:
    """Return the expected held-out loss of a run with the best dropout, in nats per token.

    `yardstick` is the n-gram model's loss; 1.0 gives the ratio to it, which is enough to compare runs on one text.
    """
    lacking, overfitting = _terms(tokens, hidden_size, passes)
    dropout = _best_dropout(lacking, overfitting)
    return yardstick * LEVEL * (min(tokens, 1e6) / 1e6) ** GROWTH * (
        1 + lacking * math.exp(DROPOUT_COST * dropout) + overfitting * math.exp(-DROPOUT_RELIEF * dropout))


def expected_short_loss(yardsticks: Yardsticks, tokens: int, hidden_size: int, steps: int) -> float:
    """Return the expected held-out loss of a run of at most 500 updates, in nats per token."""
    progress = steps / BEGINNING_STEPS
    level = yardsticks.ngrams * (min(tokens, 1e6) / 1e6) ** GROWTH
    return (yardsticks.bigrams * BEGINNING * (yardsticks.symbols / 100) ** SYMBOLS * progress ** -BEGINNING_POWER
            * (hidden_size / 64) ** -BEGINNING_WIDTH
            * (level / yardsticks.bigrams) ** (SHARE + SHARE_GROWTH * math.log(progress)))


def expected_loss_at(yardsticks: Yardsticks, tokens: int, hidden_size: int, passes: float, steps: int) -> float:
    """Return the expected held-out loss of a run of any length with the best dropout, in nats per token.

    It is at most that of a network that has learned nothing, which the law, measured on longer texts, exceeds on short
    ones: the best model of a run is kept.
    """
    return min(max(expected_text_loss(yardsticks.ngrams, tokens, hidden_size, passes),
                   expected_short_loss(yardsticks, tokens, hidden_size, steps)), math.log(yardsticks.symbols))


def relative_cost(hidden_size: int) -> float:
    """Return what a token costs in a network of this width, up to a factor.

    The products of two layers grow with the square of the width, and everything else with the width.
    """
    return hidden_size * (hidden_size + 200.0)


def useful_passes(tokens: int, hidden_size: int) -> float:
    """Return the passes with the least expected loss: more of them only overfit."""
    candidates = (0.05 * 1.1 ** power for power in range(100))
    return min(candidates, key=lambda passes: expected_text_loss(1.0, tokens, hidden_size, passes))


def _terms(tokens: int, hidden_size: int, passes: float) -> tuple[float, float]:
    """Return what the network lacks in width and training, and how far it overfits, both without dropout."""
    width = hidden_size / WIDTH
    lacking = CAPACITY * width ** -CAPACITY_POWER
    lacking += LEARNING * ((passes * tokens + LEARNING_START) / 1e6) ** -LEARNING_POWER
    load = width ** OVERFITTING_WIDTH * (passes / 10) ** OVERFITTING_PASSES * 1e5 / tokens
    return lacking, OVERFITTING * load ** OVERFITTING_POWER


def _best_dropout(lacking: float, overfitting: float) -> float:
    """Return where the derivative of the expected loss with respect to dropout is zero, between 0 and MAX_DROPOUT."""
    gain = DROPOUT_RELIEF * overfitting / (DROPOUT_COST * lacking)
    return min(max(math.log(gain) / (DROPOUT_RELIEF + DROPOUT_COST), 0.0), MAX_DROPOUT)
