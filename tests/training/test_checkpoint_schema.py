"""What a checkpoint says of its run is taken only where a run could have said it.

Not here: whole checkpoints that are lies (tests/slow/test_hostile_checkpoints.py).
"""

import copy

import pytest

from charlm.training.checkpoint_state import check

BEST = {"step": 5, "loss": 1.5, "bits_per_character": 2, "best": True, "error_rate": None}
CONFIG = dict.fromkeys(("steps", "batch_size", "bptt", "optimizer", "learning_rate", "weight_decay", "warmup", "dropout", "clip",
                        "clip_value", "label_smoothing", "averaging", "patience", "seed"))      # it checks its own values
SOUND = {"model": {}, "config": CONFIG, "task": "lines", "failures": 2, "changes": [{"steps": [5, 9]}], "corpus": {"any": [1]}, "minutes": None,
         "standing": {"step": 9, "best": BEST, "validations_since_best": 1, "validated": 9, "seconds": 0.5},
         "flags": {"errors": "replace", "vocab_size": 50, "validation": 0.25, "task": None},
         "environment": {"threads": 2, "torch": "2.6"}, "texts": {}}


def changed(*place):
    """The sound facts with another value at this place."""
    facts = copy.deepcopy(SOUND)
    *path, last, value = place
    inner = facts
    for name in path:
        inner = inner[name]
    inner[last] = value
    return facts


def test_facts_of_a_run_are_taken():
    check(SOUND)


@pytest.mark.parametrize("facts", [
    changed("standing", "best", None), changed("standing", "best", {**BEST, "error_rate": 0.5}), changed("standing", "validated", 0),
    changed("flags", {}), changed("flags", "validation", "held-out.txt"), changed("flags", "validation", None), changed("flags", "vocab_size", None),
    changed("environment", {}), changed("changes", []), changed("failures", 0), changed("minutes", 0.5)], ids=str)
def test_facts_of_other_runs_are_taken(facts):
    check(facts)


@pytest.mark.parametrize("facts", [
    {}, changed("more", 1), changed("config", []), changed("config", {}), changed("config", "more", 1), changed("standing", None), changed("task", "line"),
    changed("minutes", 0), changed("minutes", "5"), changed("minutes", True), changed("minutes", float("nan")),
    changed("failures", -1), changed("failures", 1.0), changed("failures", True), changed("failures", 1 << 41), changed("changes", {}), changed("changes", [1]),
    changed("standing", "step", -1), changed("standing", "step", 9.0), changed("standing", "validated", 10), changed("standing", "seconds", -0.5),
    changed("standing", "seconds", float("inf")), changed("standing", "seconds", float("nan")), changed("standing", "seconds", "1"), changed("standing", "more", 1),
    changed("standing", "best", []), changed("standing", "best", {}), changed("standing", "best", "loss", float("nan")), changed("standing", "best", "step", 1.5),
    changed("standing", "best", "bits_per_character", None), changed("standing", "best", "best", 1), changed("standing", "best", "error_rate", "0"),
    changed("flags", "errors", "evil"), changed("flags", "errors", []), changed("flags", "vocab_size", "50"), changed("flags", "vocab_size", -1),
    changed("flags", "validation", 1.5), changed("flags", "validation", True), changed("flags", "validation", float("nan")), changed("flags", "more", {}),
    changed("environment", "threads", 0), changed("environment", "threads", 1025), changed("environment", "torch", [])], ids=str)
def test_facts_that_no_run_has_are_refused(facts):
    with pytest.raises(ValueError):
        check(facts)


def test_threads_that_are_a_word_are_refused():
    with pytest.raises((ValueError, TypeError)):
        check(changed("environment", "threads", "two"))
