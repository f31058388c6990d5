"""Helpers of the verbs that sample: the seed, and a warning about the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlm.cli.exit_codes import message

if TYPE_CHECKING:
    from charlm.text.tokenizers.base import Tokenizer


def choose_seed(given: int | None, *, used: bool) -> int:
    """Return the given seed, else a random one, which is printed to stderr if it is `used`."""
    if given is not None:
        return given
    import secrets
    seed = secrets.randbelow(1 << 32)
    if used:
        message(f"seed {seed}")
    return seed


def warn_about_unknown(tokenizer: Tokenizer, prompt: str) -> None:
    """Warn if the prompt has characters that the model does not know."""
    unknown = int((tokenizer.encode(prompt) == tokenizer.unknown_id).sum()) if prompt else 0
    if unknown:
        noun, verb = ("characters", "are") if unknown > 1 else ("character", "is")
        message(f"warning: {unknown} {noun} of the prompt {verb} unknown to the model")
