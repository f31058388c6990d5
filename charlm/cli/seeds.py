"""The seed of what is drawn: given, or drawn itself and told."""

from __future__ import annotations


def choose_seed(given: int | None, *, used: bool) -> int:
    """The given seed, else a drawn one, named on stderr where anything depends on it."""
    if given is not None:
        return given
    import secrets

    from charlm.cli.exit_codes import message
    seed = secrets.randbelow(1 << 32)
    if used:
        message(f"seed {seed}")
    return seed
