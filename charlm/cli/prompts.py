"""What is said of a prompt before it is continued."""

from __future__ import annotations

from charlm.cli.exit_codes import message


def warn_of_unknown(tokenizer, prompt: str) -> None:
    """Say how many characters of a prompt the model has never seen."""
    unknown = int((tokenizer.encode(prompt) == tokenizer.unknown_id).sum()) if prompt else 0
    if unknown:
        message(f"warning: {unknown} character{'s' * (unknown > 1)} of the prompt {'are' if unknown > 1 else 'is'} "
            "unknown to the model")
