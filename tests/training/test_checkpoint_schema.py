"""The metadata of a checkpoint's run is accepted only if a run could have written it.

Not here: whole checkpoints that lie (tests/slow/test_hostile_checkpoints.py).
"""

import copy
import dataclasses

import pytest

from charlm.config import CorpusConfig
from charlm.training.run import check

BEST = {"step": 5, "loss": 1.5, "bits_per_character": 2, "best": True, "error_rate": None, "train_loss": 2.5}
CONFIG = dict.fromkeys(("steps", "batch_size", "bptt", "optimizer", "learning_rate", "weight_decay", "warmup",
                        "dropout", "clip",
                        "clip_value", "label_smoothing", "averaging", "patience",
                        "seed", "precision", "replan"))      # it checks its own values
SOUND = {"config": CONFIG, "task": "lines", "failures": 2, "changes": [{"steps": [5, 9]}], "minutes": None,
         "provenance": {},
         "state": {"step": 9, "best": BEST, "validations_since_best": 1, "validated": 7, "seconds": 0.5,
                   "loss_sum": 5.0, "losses": 2, "history": {"points": 9, "validations": 1, "samples": 0}},
         "reading": dataclasses.asdict(CorpusConfig()), "environment": {"threads": 2, "torch": "2.6"}}


def changed(*place):
    """Sound metadata with another value at this place."""
    run = copy.deepcopy(SOUND)
    *path, last, value = place
    inner = run
    for name in path:
        inner = inner[name]
    inner[last] = value
    return run


@pytest.mark.parametrize("run", [
    SOUND, changed("state", "best", None), changed("state", "best", {**BEST, "error_rate": 0.5}),
    changed("state", "best", {**BEST, "train_loss": None}),
    changed("state", "validated", 0), changed("environment", {}), changed("changes", []), changed("failures", 0),
    changed("minutes", 0.5)], ids=str)
def test_metadata_that_a_run_writes_is_accepted(run):
    check(run)                          # raises nothing


@pytest.mark.parametrize("run", [
    {}, changed("more", 1), changed("config", []), changed("config", {}), changed("config", "more", 1),
    changed("state", None),
    changed("task", "line"), changed("task", "stream"), changed("task", []), changed("minutes", 0),
    changed("minutes", "5"),
    changed("minutes", True), changed("minutes", float("nan")), changed("failures", -1), changed("failures", 1.0),
    changed("failures", True), changed("failures", 1 << 41), changed("changes", {}), changed("changes", [1]),
    changed("state", "step", -1), changed("state", "step", 9.0), changed("state", "validated", 10),
    changed("state", "losses", 3), changed("state", "losses", -1), changed("state", "loss_sum", float("nan")),
    changed("state", "best", "train_loss", "0"), changed("state", "seconds", -0.5),
    changed("state", "seconds", float("inf")), changed("state", "seconds", float("nan")),
    changed("state", "seconds", "1"), changed("state", "more", 1),
    changed("state", "history", {}), changed("state", "history", "points", -1),
    changed("state", "history", "layers", -1), changed("state", "best", []),
    changed("state", "best", {}),
    changed("state", "best", "loss", float("nan")), changed("state", "best", "step", 1.5),
    changed("state", "best", "bits_per_character", None), changed("state", "best", "best", 1),
    changed("state", "best", "error_rate", "0"), changed("reading", {}), changed("reading", "more", {}),
    changed("environment", "threads", 0), changed("environment", "threads", 1025),
    changed("environment", "threads", "two"),
    changed("environment", "torch", [])], ids=str)
def test_metadata_that_no_run_writes_is_refused(run):
    with pytest.raises(ValueError):
        check(run)
