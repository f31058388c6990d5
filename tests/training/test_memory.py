"""The estimate of a run's memory, and the refusal of a run that cannot fit."""

import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import CharlmError
from charlm.training import memory
from charlm.training.options import TrainingOptions
from charlm.training.session import Session, run

MODEL = ModelConfig(100, hidden_size=1000, embedding_size=10, num_layers=1)
RUN = TrainingConfig(steps=1, batch_size=8, bptt=50)
TEXT = SimpleNamespace()


def test_weights_count_with_their_optimizer_and_their_average():
    recurrent, rest = 4000 * 1010, 2 * 4000 + 100 * 1010 + 100
    for changes, copies in (({}, (13, 10)), ({"optimizer": "adamw"}, (10, 10)), ({"averaging": 0.9}, (14, 11))):
        weights, _ = memory.needed(MODEL, TrainingConfig(steps=1, **changes), 0)
        assert weights == 4 * (copies[0] * recurrent + copies[1] * rest)


def test_a_step_counts_gates_of_all_layers_and_logits():
    two_ways = ModelConfig(100, hidden_size=1000, num_layers=2, encoder="bidirectional", source_vocabulary_size=9)
    assert memory.needed(MODEL, RUN, 5)[1] == 4 * 5 * (13 * 1000 + 300)
    assert memory.needed(two_ways, RUN, 5)[1] == 4 * 5 * (13 * 1000 * 6 + 300)


def test_tokens_of_a_step_are_windows_or_lines_of_mean_length():
    assert memory.tokens_per_step(TEXT, RUN) == 400
    assert memory.tokens_per_step(TEXT, RUN, processes=2) == 200
    assert memory.tokens_per_step(SimpleNamespace(lengths=np.array([1, 4])), RUN) == 20


def test_an_accumulated_step_needs_the_memory_of_one_part():
    parts = TrainingConfig(steps=1, batch_size=8, bptt=50, accumulate=4)
    assert memory.tokens_per_step(TEXT, parts) == 100
    assert memory.needed(MODEL, parts, 0)[0] == memory.needed(MODEL, RUN, 0)[0] + 4 * MODEL.parameter_count()


@pytest.mark.parametrize("bptt, flags", [
    (1, "--hidden or --layers"), (60_000, "--batch-size, --bptt or --hidden, or raise --accumulate")])
def test_a_run_that_cannot_fit_is_refused_with_both_figures(monkeypatch, bptt, flags):
    config = TrainingConfig(steps=1, batch_size=8, bptt=bptt)
    total = sum(memory.needed(MODEL, config, 8 * bptt))
    monkeypatch.setattr(memory, "available", lambda device: total)
    memory.require_memory(MODEL, config, TEXT, device="cpu")
    monkeypatch.setattr(memory, "available", lambda device: total - 1e8)
    with pytest.raises(CharlmError) as refused:
        memory.require_memory(MODEL, config, TEXT, device="cpu")
    assert str(refused.value) == (f"out of memory: this run needs about {total / 1e9:.1f} GB, and "
                                  f"{(total - 1e8) / 1e9:.1f} GB are available; lower {flags}")


def test_processes_on_one_machine_share_its_memory(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(memory, "available", lambda device: 1.5 * sum(memory.needed(MODEL, RUN, 200)))
    memory.require_memory(MODEL, RUN, TEXT, device="cpu")
    with pytest.raises(CharlmError, match="out of memory"):
        memory.require_memory(MODEL, RUN, TEXT, device="cpu", processes=2)


def test_nothing_is_refused_where_the_memory_is_unknown(monkeypatch):
    large = ModelConfig(100, hidden_size=60_000)
    monkeypatch.setattr(memory, "available", lambda device: 1e9)
    with pytest.raises(CharlmError, match="out of memory"):
        memory.require_memory(large, RUN, TEXT, device="cpu")
    monkeypatch.setattr(memory, "available", lambda device: None)
    memory.require_memory(large, RUN, TEXT, device="cpu")


def test_a_run_is_refused_before_it_is_built(corpus_of, tmp_path, monkeypatch):
    monkeypatch.setattr("charlm.training.session.Trainer", None)
    session = Session(str(tmp_path / "m.charlm"), "cpu", 1, time.monotonic(), lambda: False)
    with pytest.raises(CharlmError, match=r"out of memory: this run needs about \d+\.\d GB, and \d+\.\d GB are"):
        list(run(corpus_of("namaskar\n" * 64), "text", TrainingOptions(hidden_size=65536, num_layers=200), session))


def test_the_least_of_all_limits_counts(tmp_path, monkeypatch):
    group = tmp_path / "group" / "inner"
    group.mkdir(parents=True)
    for folder, limit in ((group, "max"), (group.parent, "5000000")):
        (folder / "memory.max").write_text(limit)
        (folder / "memory.current").write_text("3000000\n")
        (folder / "memory.stat").write_text("anon 5\ninactive_file 1000000\n")
    (tmp_path / "cgroup").write_text("0::/group/inner\n")
    real = memory.Path
    monkeypatch.setattr(memory, "Path", lambda path: real(str(path).replace("/proc/self/cgroup", str(
        tmp_path / "cgroup"))))
    monkeypatch.setattr(memory, "_VERSION_2", (str(tmp_path), *memory._VERSION_2[1:]))
    assert memory.available("cpu") == 3_000_000


def test_a_limit_on_the_address_space_counts():
    code = ("import resource; from charlm.training.memory import available\n"
            "size = int(next(line for line in open('/proc/self/status') if line.startswith('VmSize')).split()[1])\n"
            "resource.setrlimit(resource.RLIMIT_AS, (1024 * size + 300_000_000, -1)); print(available('cpu'))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert 2e8 < float(done.stdout) <= 3e8
