"""Each benchmark runs and prints its rows. Not here: any claim about time or memory."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow           # each starts many processes

DIRECTORY = Path(__file__).resolve().parent
HELPERS = {"timing", "plain_lstm", "plain_gpt", "killed_run", "examples_grid", "test_benchmarks"}
# The sweep needs a GPU; its parts are tested by test_many_networks.
SWEEP = {"many_cells", "many_held_out", "many_networks", "many_parts", "text_grid", "sweep_text", "test_many_networks"}
ROWS = {
    "training": ("LSTM x1", "LSTM x2", "step with AdamW", "cost of Muon"),
    "nanogpt": ("charlm",),
    "step": ("step on idle cores: over", "step on idle cores: one", "step beside a busy process: over",
             "step beside a busy process: one"),
    "sampling": ("hidden 128", "hidden 256", "hidden 512"),
    "searching": ("beam 1", "beam 5"),
    "scoring": ("8 lines", "16 lines"),
    "processes": ("charlm sample -m text.charlm -n 500", "charlm score -m names.charlm names.txt",
                  "charlm sample -m names.charlm -N 100", "charlm --help", "charlm train --help",
                  "charlm sample --help", "charlm translate --help", "charlm eval --help", "charlm info --help"),
    "cores": ("charlm score -m text.charlm long.txt", "charlm score -m lines.charlm many.txt",
              "charlm score -m lines.charlm few.txt", "charlm classify -m labels.charlm short.txt",
              "charlm translate -m pairs.charlm short.txt", "charlm fill -m fill.charlm gaps.txt",
              "charlm eval -m lines.charlm long.txt", "charlm eval -m text.charlm --window 64 long.txt"),
    "filtering": ("MB of lines per second, 1 x 64", "processor seconds per MB",
                  "peak memory over that of a tenth of the text", "error of the time left, as a share of it"),
    "memory": ("train on 20 MB", "score 0.2 MB of lines", "score one line of 0.05 MB"),
}
# A row after the benchmark's name: the target, the result, its quartiles, the medians.
NUMBER = r"-?\d+(\.\d+)?(e[+-]\d+)?"
CELLS = rf"  +[<>]= [\d.]+ +{NUMBER} +{NUMBER}\.\.{NUMBER}  +\S.* \S+, \S.*"


def run_benchmark(name, *flags):
    """Run a benchmark with --quick; return the lines that it printed."""
    command = [sys.executable, str(DIRECTORY / f"{name}.py"), "--quick", "--threads", "1", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ROWS)
def test_benchmark_prints_one_row_per_measurement(name):
    lines = run_benchmark(name)
    head, = (index for index, line in enumerate(lines) if line.split()[:3] == ["benchmark", "target", "result"])
    rows = lines[head + 1:]
    assert len(rows) == len(ROWS[name])
    for row, benchmark in zip(rows, ROWS[name], strict=True):
        assert re.match(re.escape(benchmark) + r"\b.*?" + CELLS, row), row


def test_gpu_benchmark_prints_its_device_or_no_gpu():
    lines = run_benchmark("gpu")
    assert lines == ["no GPU"] or lines[0].startswith("GPU: ") and len(lines) > 4


def test_gpu_benchmark_runs_on_a_cpu_too():
    lines = run_benchmark("gpu", "--device", "cpu")
    assert any(line.startswith("train 2x32: muon float32 over bare float32") for line in lines)
    assert re.fullmatch(r"killed at step \d+ of 60 and resumed: model file  equal +equal .*", lines[-1]), lines[-1]


def test_sweep_appends_one_line_for_each_task(tmp_path):
    output = tmp_path / "sweep.tsv"
    for runs in (5, 10):
        run_benchmark("sweep_examples", "--data", str(tmp_path), "--output", str(output))
        head, *rows = [line.split("\t") for line in output.read_text().splitlines()]
        records = [dict(zip(head, row, strict=True)) for row in rows]
        assert len(records) == runs
    assert {record["task"] for record in records} == {"lines", "labels", "pairs", "fill"}
    assert all(float(record["loss"]) > 0 and float(record["seconds"]) > 0 for record in records)


def test_fit_of_the_law_prints_its_numbers_and_errors():
    command = [sys.executable, str(DIRECTORY / "fit_scaling.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.search(r"^LEVEL = 0\.\d{3}$", done.stdout, re.M)
    assert re.search(r"^law fitted without the text and its slices +rms 0\.\d{3} ", done.stdout, re.M)


def test_fit_of_short_runs_prints_its_numbers_and_errors():
    command = [sys.executable, str(DIRECTORY / "short_runs.py")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert any(re.match(r"BEGINNING = \d", line) for line in lines), lines
    assert re.search(r"\d\.\d+", lines[-1]), lines


@pytest.mark.parametrize("text", ["ascii", "chinese"])
def test_a_large_text_becomes_tokens_in_constant_memory(text):
    command = [sys.executable, str(DIRECTORY / "large.py"), "--gigabytes", "0.2", "--text", text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    assert int(re.search(r"; (\d+) MB of memory$", done.stdout.strip())[1]) < 40


def test_every_benchmark_is_tested():
    modules = {path.stem for path in DIRECTORY.glob("*.py")} - HELPERS - SWEEP
    assert modules == {*ROWS, "gpu", "sweep_examples", "fit_scaling", "short_runs", "large"}
