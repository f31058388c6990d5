"""What a checkpoint says of its run in plain values, every one checked before it is used.

A checksum tells damage, not intent: a file made by hand must not do more than be refused.
Not here: the network and the flags of the run, which check themselves (config.py), the tensors (resuming.py).
"""

from __future__ import annotations

import math
from dataclasses import fields

from charlm.config import TASKS, TrainingConfig
from charlm.records import Validation

PARTS = {"model", "config", "task", "standing", "failures", "flags", "corpus", "environment", "changes",
         "minutes", "texts"}
_TABLES = ("config", "standing", "flags", "corpus", "environment", "texts")
_STANDING = {"step", "best", "since_best", "validated", "seconds"}
_MOST = 1 << 40                         # of anything that is counted
_MOST_THREADS = 1024


def check(facts: dict) -> None:
    """Raises ValueError for facts that no run has."""
    _require(set(facts) == PARTS, "parts are missing or unknown")
    _require(all(isinstance(facts[name], dict) for name in _TABLES), "parts are no tables")
    _require(set(facts["config"]) == _names(TrainingConfig), "flags are missing or unknown")
    _require(facts["task"] in TASKS, f"its task is none of {', '.join(TASKS)}")
    _require(_counted(facts["failures"]), "its failures are no number")
    _require(isinstance(facts["changes"], list) and all(isinstance(change, dict) for change in facts["changes"]),
             "its changes are no list of them")
    minutes = facts["minutes"]
    _require(minutes is None or _measured(minutes) and minutes > 0, "its minutes are none")
    _check_standing(facts["standing"])
    _check_flags(facts["flags"])
    _require(all(isinstance(value, (str, int)) for value in facts["environment"].values()), "its environment is none")
    _require(0 < facts["environment"].get("threads", 1) <= _MOST_THREADS, "nothing has so many threads")


def _check_standing(standing: dict) -> None:
    _require(set(standing) == _STANDING, "numbers of its standing are missing or unknown")
    _require(all(_counted(standing[name]) for name in ("step", "since_best", "validated"))
             and standing["validated"] <= standing["step"] and _measured(standing["seconds"]),
             "numbers of its standing are none")
    best = standing["best"]
    if best is not None:
        _require(isinstance(best, dict) and set(best) == _names(Validation), "its best validation is none")
        rate = best["error_rate"]
        _require(_counted(best["step"]) and _measured(best["loss"]) and _measured(best["bits_per_character"])
                 and isinstance(best["best"], bool) and (rate is None or _measured(rate)),
                 "its best validation is none")


def _check_flags(flags: dict) -> None:
    """Of texts, which are read by them before anything else of the run is known."""
    _require(all(value is None or isinstance(value, (str, int, float)) for value in flags.values()),
             "flags are no values")
    _require(flags.get("errors", "strict") in ("strict", "replace", "ignore"), "its --errors is none")
    size, part = flags.get("vocab_size"), flags.get("validation")
    _require(size is None or _counted(size), "its --vocab-size is none")
    _require(part is None or isinstance(part, str) or _measured(part) and 0 < part < 1, "its --validation is none")


def _names(record: type) -> set[str]:
    return {field.name for field in fields(record)}


def _counted(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def _measured(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _require(sound: bool, otherwise: str) -> None:
    if not sound:
        raise ValueError(otherwise)
