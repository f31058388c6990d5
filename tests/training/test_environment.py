"""What the bits of a training depend on is told apart, and told in one line."""

import itertools
import json
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlm.training.environment import differences, environment

CPU = {"device": "cpu", "threads": 2, "processes": 1}
NAMES = {"charlm": "charlm", "torch": "torch", "processor": "processor", "device": "device",
         "threads": "--threads", "processes": "processes", "another": "another"}
ENVIRONMENTS = st.dictionaries(st.sampled_from(sorted(NAMES)), st.integers(0, 2))


@pytest.fixture
def one_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GPU 1")


def told(line):
    """The changes that a line tells, in its order: name, what was, what is."""
    return [re.fullmatch("(.+) was (.+) and is (.+)", part).groups() for part in line.split(", ") if part]


# Environments


def test_environment_of_a_process_stays_the_same():
    assert environment(**CPU) == environment(**CPU)
    assert differences(environment(**CPU), environment(**CPU)) == ""


def test_one_process_is_usual():
    assert environment(device="cpu", threads=2) == environment(**CPU)


@pytest.mark.parametrize(("name", "value", "line"), [
    ("threads", 3, "--threads was 2 and is 3"), ("processes", 4, "processes was 1 and is 4")])
def test_environment_has_threads_and_processes(name, value, line):
    assert differences(environment(**CPU), environment(**CPU | {name: value})) == line


def test_environment_has_the_device_and_its_own_processor(one_gpu):
    before, now = environment(**CPU), environment(**CPU | {"device": "cuda"})
    assert [name for name, _, _ in told(differences(before, now))] == ["device", "processor"]
    assert now["processor"] == "GPU 1"


@pytest.mark.parametrize(("where", "value", "name"), [
    ("torch.__version__", "0.0", "torch"), ("charlm.training.environment.__version__", "0.0", "charlm"),
    ("torch.backends.cpu.get_cpu_capability", lambda: "none", "processor"),
    ("platform.machine", lambda: "abacus", "processor")])
def test_environment_has_versions_and_processor(monkeypatch, where, value, name):
    before = environment(**CPU)
    monkeypatch.setattr(where, value)
    [(changed, was, now)] = told(differences(before, environment(**CPU)))
    assert changed == name and was == before[name] and now != was


def test_another_gpu_is_another_processor(monkeypatch, one_gpu):
    before = environment(**CPU | {"device": "cuda"})
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GPU 2")
    now = environment(**CPU | {"device": "cuda"})
    assert differences(before, now) == "processor was GPU 1 and is GPU 2"


def test_no_gpu_is_asked_for_where_none_is_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", None)
    assert environment(**CPU)["device"] == "cpu"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_environment_is_of_plain_values_that_json_gives_back(one_gpu, device):
    values = environment(**CPU | {"device": device})
    assert all(isinstance(value, str) or type(value) is int for value in values.values())
    assert json.loads(json.dumps(values)) == values


# Differences


def test_all_changes_are_told_once_in_a_fixed_order():
    before = {"threads": 1, "torch": "2.6", "device": "cpu", "charlm": "1", "processes": 1, "processor": "x"}
    now = {"threads": 2, "torch": "2.7", "device": "cuda", "charlm": "2", "processes": 3, "processor": "y"}
    assert differences(before, now) == (
        "charlm was 1 and is 2, device was cpu and is cuda, processes was 1 and is 3, "
        "processor was x and is y, --threads was 1 and is 2, torch was 2.6 and is 2.7")


@pytest.mark.parametrize("names", list(itertools.permutations(["torch", "another", "threads"])))
def test_order_of_changes_is_not_that_of_the_entries(names):
    before, now = {name: 0 for name in names}, {name: 1 for name in reversed(names)}
    assert [name for name, _, _ in told(differences(before, now))] == ["another", "--threads", "torch"]


def test_entries_of_one_side_only_are_changes():
    assert differences({}, {"threads": 1}) == "--threads was None and is 1"
    assert differences({"threads": 1}, {}) == "--threads was 1 and is None"
    assert differences({"old": 1, "same": 2}, {"same": 2, "young": 3}) == \
        "old was 1 and is None, young was None and is 3"


@given(ENVIRONMENTS, ENVIRONMENTS)
def test_changes_told_lead_from_one_environment_to_the_other(before, now):
    changed = before.copy()
    for name, was, value in told(differences(before, now)):
        key = name.removeprefix("--")
        assert NAMES[key] == name and str(changed.get(key)) == was != value
        changed[key] = None if value == "None" else int(value)
    assert {name: value for name, value in changed.items() if value is not None} == now


@given(ENVIRONMENTS)
def test_nothing_is_told_where_nothing_has_changed(values):
    assert differences(values, dict(reversed(values.items()))) == ""
