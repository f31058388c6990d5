"""The law that plans training on running text: the loss and the best dropout for a text, a width and a length.

With T training tokens, hidden size h, p passes and dropout d, a run of two LSTM layers with Muon, lanes of 64 tokens,
weight decay 0.1 and a learning rate that falls to zero ends at

    log(loss / yardstick) = OFFSET + GROWTH log(min(T, 10⁶) / 10⁶)
                            + (CAPACITY (h / 256)^-a + LEARNING ((p T + 20,000) / 10⁶)^-b) e^(d COST)
                            + OVERFITTING ((h / 256)^e (p / 10)^g 10⁵ / T)^c e^(-d RELIEF)

nats per held-out token. The yardstick is what an n-gram model expects of the text: `charlm.training.yardstick`.
"""

from __future__ import annotations

import math

OFFSET, GROWTH = -1.872, 0.149
CAPACITY, CAPACITY_POWER = 0.488, 0.304
LEARNING, LEARNING_POWER, LEARNING_START = 1.295, 0.112, 2e4
DROPOUT_COST, DROPOUT_RELIEF = 0.163, 1.425
OVERFITTING, OVERFITTING_POWER = 0.381, 0.400
OVERFITTING_WIDTH, OVERFITTING_PASSES = 2.18, 1.97
MAX_DROPOUT = 0.6


def text_dropout(tokens: int, hidden_size: int, passes: float) -> float:
    """Return the dropout with the least expected loss, in twentieths."""
    return round(20 * _best_dropout(*_terms(tokens, hidden_size, passes))) / 20


def expected_text_loss(yardstick: float, tokens: int, hidden_size: int, passes: float) -> float:
    """Return the expected held-out loss of a run with the best dropout, in nats per token.

    `yardstick` is the n-gram model's loss; 1.0 gives the ratio to it, which is enough to compare runs on one text.
    """
    lacking, overfitting = _terms(tokens, hidden_size, passes)
    dropout = _best_dropout(lacking, overfitting)
    ratio = (OFFSET + GROWTH * math.log(min(tokens, 1e6) / 1e6) + lacking * math.exp(DROPOUT_COST * dropout)
             + overfitting * math.exp(-DROPOUT_RELIEF * dropout))
    return yardstick * math.exp(ratio if ratio < 1 else 1 + math.tanh(ratio - 1))   # no run is worse than e² times


def useful_passes(tokens: int, hidden_size: int) -> float:
    """Return the passes with the least expected loss: more of them only overfit."""
    candidates = [0.05 * 1.1 ** power for power in range(100)]
    return min(candidates, key=lambda passes: expected_text_loss(1.0, tokens, hidden_size, passes))


def _terms(tokens: int, hidden_size: int, passes: float) -> tuple[float, float]:
    """Return what the network lacks in width and training, and what it overfits, both without dropout."""
    width = hidden_size / 256
    lacking = CAPACITY * width ** -CAPACITY_POWER
    lacking += LEARNING * ((passes * tokens + LEARNING_START) / 1e6) ** -LEARNING_POWER
    load = width ** OVERFITTING_WIDTH * (passes / 10) ** OVERFITTING_PASSES * 1e5 / tokens
    return lacking, OVERFITTING * load ** OVERFITTING_POWER


def _best_dropout(lacking: float, overfitting: float) -> float:
    """Return where the derivative of the expected loss by dropout is zero, within the dropouts that are allowed."""
    slope = DROPOUT_RELIEF * overfitting / (DROPOUT_COST * lacking)
    return min(max(math.log(slope) / (DROPOUT_RELIEF + DROPOUT_COST), 0.0), MAX_DROPOUT)
