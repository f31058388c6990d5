"""How large and how long: sizes, steps and validations from the corpus alone.

Never from the clock, so that `--steps` repeats a run bit for bit. Steps from measured speed are speed.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

from charlm.text.token_cache import TokenCache

MAX_VALIDATIONS = 10
VALIDATION_SHARE = 0.25                 # tokens validated at most, over tokens trained on
TOKENS_AT_A_MILLION = 5e6               # training tokens for a corpus of a million: five passes
MIN_TOKENS = 150_000                 # even a tiny corpus is read this far
MIN_STEPS = 150
PAIRS_SEEN_AT_8000 = 240_000            # training pairs for a lexicon of 8,000: thirty passes
MIN_PAIRS_SEEN = 20_000
LINE_TOKENS_AT_A_MILLION = 6e6          # training tokens for lines of a million in all: six passes
MIN_LINE_TOKENS = 300_000


@dataclass(frozen=True)
class Sizes:
    """What a corpus of some size is given when no flag says otherwise."""

    hidden_size: int
    batch_size: int                     # lanes, or pairs
    dropout: float
    weight_decay: float
    label_smoothing: float = 0.0


def pair_sizes(pairs: int, tokens: int) -> Sizes:
    """Width, batch and regularisation for so many training pairs with so many tokens on both sides."""
    hidden = 64 if tokens < 10_000 else 128 if tokens < 2_000_000 else 256
    return Sizes(hidden, 16 if pairs < 2_000 else 64, 0.3, 0.1, 0.1)


def default_pair_steps(pairs: int, batch_size: int) -> int:
    """Thirty passes over 8,000 pairs; for others, pairs seen grow with the square root."""
    wanted = max(PAIRS_SEEN_AT_8000 * (pairs / 8000) ** 0.5, MIN_PAIRS_SEEN)
    return max(round(wanted / batch_size), MIN_STEPS)


def line_sizes(tokens: int) -> Sizes:
    """Width, batch and regularisation for lines of so many training tokens in all."""
    if tokens < 20_000:
        return Sizes(64, 16, 0.3, 0.1)
    if tokens < 500_000:
        return Sizes(128, 64, 0.3 if tokens < 150_000 else 0.2, 0.1)
    return Sizes(256, 64, 0.15 if tokens < 20_000_000 else 0.0, 0.1)


def default_line_steps(tokens: int, steps_per_epoch: int) -> int:
    """Six passes over a million tokens; for others, tokens read grow with the square root."""
    wanted = max(LINE_TOKENS_AT_A_MILLION * (tokens / 1e6) ** 0.5, MIN_LINE_TOKENS)
    return max(round(wanted / tokens * steps_per_epoch), MIN_STEPS)


def sizes(tokens: int) -> Sizes:
    """Width, lanes and regularisation for so many training tokens of running text."""
    if tokens < 20_000:
        return Sizes(64, 8, 0.1, 0.1)
    if tokens < 100_000:
        return Sizes(128, 16, 0.3, 0.1)
    if tokens < 400_000:
        return Sizes(256, 16, 0.4, 0.1)
    if tokens < 20_000_000:
        return Sizes(256, 32, 0.15, 0.1)
    return Sizes(512, 64, 0.0, 0.0)


def default_steps(tokens: int, window: int) -> int:
    """Five passes over a million tokens; for others, tokens read grow with the square root."""
    wanted = max(TOKENS_AT_A_MILLION * (tokens / 1e6) ** 0.5, MIN_TOKENS)
    return max(round(wanted / window), MIN_STEPS)


def fit_window(train: TokenCache, *, batch_size: int, bptt: int) -> tuple[int, int]:
    """Lanes and window length that the corpus can fill: not longer than it, nor wider."""
    bptt = min(bptt, len(train) - 1)
    return max(1, min(batch_size, len(train) // bptt)), bptt


def validation_interval(steps: int, window: float, held_out: float) -> int:
    """Steps between validations: ten in a run, fewer where they would outweigh the training.

    `window` tokens are trained on in a step, and a validation costs as much as `held_out` tokens.
    """
    count = int(VALIDATION_SHARE * steps * window / held_out)
    return -(-steps // min(max(count, 1), MAX_VALIDATIONS, steps))
