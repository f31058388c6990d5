"""The device a run trains on, the description of its machine, and the differences between two of them."""

import itertools
import json
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import UsageError
from charlm.training.environment import choose_device, choose_precision, differences, environment

CPU = {"device": "cpu", "threads": 2, "processes": 1}
NAMES = {"charlm": "charlm", "torch": "torch", "processor": "processor", "device": "device",
         "threads": "--threads", "processes": "processes", "another": "another"}
ENVIRONMENTS = st.dictionaries(st.sampled_from(sorted(NAMES)), st.integers(0, 2))


@pytest.fixture
def one_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GPU 1")


def parsed(line):
    """Return the differences in a line, in its order: name, old value, new value."""
    return [re.fullmatch("(.+) was (.+) and is (.+)", part).groups() for part in line.split(", ") if part]


# Devices


@pytest.mark.parametrize(("gpu", "requested", "previous", "chosen"), [
    (True, "auto", None, "cuda"), (True, "auto", "cuda", "cuda"), (True, "auto", "cpu", "cpu"),
    (True, "cuda", "cpu", "cuda"), (True, "cpu", "cuda", "cpu"), (False, "auto", None, "cpu"),
    (False, "auto", "cuda", "cpu"), (False, "cpu", None, "cpu")])
def test_auto_keeps_a_run_on_its_cpu_and_otherwise_prefers_a_gpu(monkeypatch, gpu, requested, previous, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert choose_device(requested, previous) == chosen


def test_requesting_a_missing_gpu_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cpu"):
        choose_device("cuda")


# Precision


@pytest.mark.parametrize(("requested", "cell", "unit", "chosen"), [
    ("auto", "lstm", "AMX", "bfloat16"), ("auto", "lstm", "", "float32"), ("auto", "gru", "AMX", "float32"),
    ("float32", "lstm", "AMX", "float32"), ("bfloat16", "lstm", "", "bfloat16"), ("bfloat16", "rnn", "AMX", "float32")])
def test_precision_on_a_cpu_follows_request_cell_and_capability(monkeypatch, requested, cell, unit, chosen):
    monkeypatch.setattr("charlm.training.environment.bfloat16_unit", lambda: unit)
    assert choose_precision(requested, device="cpu", cell=cell) == chosen


@pytest.mark.parametrize(("capability", "chosen"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")])
def test_auto_is_bfloat16_on_a_gpu_that_multiplies_it(monkeypatch, capability, chosen):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert choose_precision("auto", device="cuda", cell="gru") == chosen


def test_a_build_without_a_bfloat16_lstm_trains_in_float32(monkeypatch):
    monkeypatch.setattr("charlm.training.environment._lstm_runs_in_bfloat16", lambda: False)
    monkeypatch.setattr("charlm.training.environment.bfloat16_unit", lambda: "AMX")
    assert choose_precision("bfloat16", device="cpu", cell="lstm") == "float32"


def test_the_bfloat16_unit_is_part_of_the_environment(monkeypatch):
    monkeypatch.setattr("charlm.training.environment.bfloat16_unit", lambda: "AMX")
    before = environment(**CPU)
    monkeypatch.setattr("charlm.training.environment.bfloat16_unit", lambda: "")
    [(changed, was, now)] = parsed(differences(before, environment(**CPU)))
    assert changed == "processor" and was == f"{now} AMX"


# Environments


def test_environment_is_constant_within_a_process():
    assert environment(**CPU) == environment(**CPU)
    assert differences(environment(**CPU), environment(**CPU)) == ""


def test_number_of_processes_defaults_to_one():
    assert environment(device="cpu", threads=2) == environment(**CPU)


@pytest.mark.parametrize(("name", "value", "line"), [
    ("threads", 3, "--threads was 2 and is 3"), ("processes", 4, "processes was 1 and is 4")])
def test_threads_and_processes_are_part_of_the_environment(name, value, line):
    assert differences(environment(**CPU), environment(**CPU | {name: value})) == line


def test_device_and_its_processor_are_part_of_the_environment(one_gpu):
    before, now = environment(**CPU), environment(**CPU | {"device": "cuda"})
    assert [name for name, _, _ in parsed(differences(before, now))] == ["device", "processor"]
    assert now["processor"] == "GPU 1"


@pytest.mark.parametrize(("where", "value", "name"), [
    ("torch.__version__", "0.0", "torch"), ("charlm.training.environment.__version__", "0.0", "charlm"),
    ("torch.backends.cpu.get_cpu_capability", lambda: "none", "processor"),
    ("platform.machine", lambda: "abacus", "processor")])
def test_versions_and_processor_are_part_of_the_environment(monkeypatch, where, value, name):
    before = environment(**CPU)
    monkeypatch.setattr(where, value)
    [(changed, was, now)] = parsed(differences(before, environment(**CPU)))
    assert changed == name and was == before[name] and now != was


def test_another_gpu_is_another_processor(monkeypatch, one_gpu):
    before = environment(**CPU | {"device": "cuda"})
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GPU 2")
    now = environment(**CPU | {"device": "cuda"})
    assert differences(before, now) == "processor was GPU 1 and is GPU 2"


def test_gpu_is_not_queried_if_it_is_not_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", None)
    assert environment(**CPU)["device"] == "cpu"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_environment_survives_json(one_gpu, device):
    values = environment(**CPU | {"device": device})
    assert all(isinstance(value, str) or type(value) is int for value in values.values())
    assert json.loads(json.dumps(values)) == values


# Differences


def test_all_differences_are_listed_once_in_a_fixed_order():
    before = {"threads": 1, "torch": "2.6", "device": "cpu", "charlm": "1", "processes": 1, "processor": "x"}
    now = {"threads": 2, "torch": "2.7", "device": "cuda", "charlm": "2", "processes": 3, "processor": "y"}
    assert differences(before, now) == (
        "charlm was 1 and is 2, device was cpu and is cuda, processes was 1 and is 3, "
        "processor was x and is y, --threads was 1 and is 2, torch was 2.6 and is 2.7")


@pytest.mark.parametrize("names", list(itertools.permutations(["torch", "another", "threads"])))
def test_order_of_differences_does_not_depend_on_that_of_the_entries(names):
    before, now = {name: 0 for name in names}, {name: 1 for name in reversed(names)}
    assert [name for name, _, _ in parsed(differences(before, now))] == ["another", "--threads", "torch"]


def test_entries_of_one_side_only_are_differences():
    assert differences({}, {"threads": 1}) == "--threads was None and is 1"
    assert differences({"threads": 1}, {}) == "--threads was 1 and is None"
    assert differences({"old": 1, "same": 2}, {"same": 2, "young": 3}) == \
        "old was 1 and is None, young was None and is 3"


@given(ENVIRONMENTS, ENVIRONMENTS)
def test_differences_applied_to_one_environment_give_the_other(before, now):
    changed = before.copy()
    for name, was, value in parsed(differences(before, now)):
        key = name.removeprefix("--")
        assert NAMES[key] == name and str(changed.get(key)) == was != value
        changed[key] = None if value == "None" else int(value)
    assert {name: value for name, value in changed.items() if value is not None} == now


@given(ENVIRONMENTS)
def test_equal_environments_have_no_differences(values):
    assert differences(values, dict(reversed(values.items()))) == ""
