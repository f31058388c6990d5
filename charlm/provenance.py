"""The provenance of a model: the command, date and texts of its run, and the model that it started from.

None of it repeats: two runs of one command differ in their dates. So it is no part of a model's content digest, and
with SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/) only what repeats is recorded.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from typing import Any

from charlm.errors import ModelFileError, UsageError
from charlm.version import __version__

MAX_COMMAND = 1000                      # characters
MAX_NAMES = 500                         # characters of the names of texts, all together
MAX_NAME = 255
_VARIABLE = "SOURCE_DATE_EPOCH"
_LAST_SECOND = 253_402_300_799          # of the year 9999
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Provenance:
    """The origin of a model; fields that are not known are empty."""

    charlm: str = ""                    # the version that trained it
    date: str = ""                      # when the run began, UTC, ISO 8601
    command: str = ""                   # that began the run
    corpus: tuple[str, ...] = ()        # names of the texts, without their folders
    init_from: str = ""                 # name of the model that the run started from
    init_digest: str = ""               # its content digest
    seconds: float | None = None        # of training; None: the run records no times

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are known, as plain JSON values."""
        known = {name: value for name, value in asdict(self).items() if value or value == 0}
        return known | ({"corpus": list(self.corpus)} if self.corpus else {})

    @classmethod
    def from_json(cls, values: object) -> Provenance:
        """Return the provenance that a file describes. Raises ModelFileError if nothing could have written it."""
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or not set(values) <= known:
            raise ModelFileError("its provenance has unknown parts")
        corpus, seconds = values.get("corpus", []), values.get("seconds")
        texts = {name: value for name, value in values.items() if name not in ("corpus", "seconds")}
        limits = {"command": MAX_COMMAND, "init_digest": 64}
        valid = (all(isinstance(text, str) and len(text) <= limits.get(name, MAX_NAME) for name, text in texts.items())
                 and isinstance(corpus, list) and all(isinstance(name, str) for name in corpus)
                 and sum(map(len, corpus)) <= 2 * MAX_NAMES and len(corpus) <= MAX_NAMES
                 and (seconds is None or type(seconds) in (int, float) and 0 <= seconds < math.inf)
                 and (not texts.get("init_digest") or _DIGEST.fullmatch(texts["init_digest"]) is not None))
        if not valid:
            raise ModelFileError("its provenance is invalid")
        return cls(**{**values, "corpus": tuple(corpus)})


def fixed_date() -> int | None:
    """Return the date of SOURCE_DATE_EPOCH in seconds since 1970, or None. Raises UsageError for another text."""
    text = os.environ.get(_VARIABLE)
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) > _LAST_SECOND:
        raise UsageError(f"{_VARIABLE} must be a number of seconds since 1970, not {text[:40]!r}")
    return int(text)


def provenance_of(words: Sequence[str] | str, texts: Sequence[str], *, init_from: str = "",
                  init_digest: str = "") -> Provenance:
    """Return the provenance of a run that begins now with this command and these texts.

    `words` are those of a command, or a str that is recorded as it is. With SOURCE_DATE_EPOCH, only what a repeated run
    reproduces is recorded.
    """
    fixed = fixed_date()
    date = datetime.fromtimestamp(time.time() if fixed is None else fixed, timezone.utc)
    stamp = date.strftime("%Y-%m-%dT%H:%M:%SZ")
    if fixed is not None:
        return Provenance(__version__, stamp, init_digest=init_digest)
    command = words if isinstance(words, str) else shlex.join(words)
    return Provenance(__version__, stamp, _shortened(command, MAX_COMMAND), _names(texts),
                      _shortened(os.path.basename(init_from), MAX_NAME), init_digest, 0.0)


def _names(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the base names of texts, as many as fit into MAX_NAMES characters, then the number of the others.

    >>> _names(["books/a.txt", "-"])
    ('a.txt', '-')
    """
    names: list[str] = []
    for number, text in enumerate(texts):
        name = _shortened(os.path.basename(text), MAX_NAME)
        if sum(map(len, names)) + len(name) > MAX_NAMES:
            return (*names, f"and {len(texts) - number} more")
        names.append(name)
    return tuple(names)


def _shortened(text: str, length: int) -> str:
    """Return a text of at most this many characters.

    >>> _shortened("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= length else text[:length - 1] + "…"
