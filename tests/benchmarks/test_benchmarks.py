"""Each benchmark runs and prints its rows. Not here: any claim about time or memory."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow            # each starts many processes

HERE = Path(__file__).resolve().parent
ROWS = {
    "training": ("LSTM x1", "LSTM x2", "step with AdamW", "what Muon adds"),
    "sampling": ("hidden 128", "hidden 256", "hidden 512"),
    "searching": ("beam 1", "beam 5"),
    "scoring": ("8 lines", "16 lines"),
    "processes": ("charlm sample -m text.charlm -n 500", "charlm score -m names.charlm names.txt",
                  "charlm sample -m names.charlm -N 100", "charlm --help", "charlm train --help",
                  "charlm sample --help", "charlm translate --help", "charlm eval --help", "charlm info --help"),
    "memory": ("train on 20 MB", "score 0.2 MB of lines", "score one line of 0.05 MB"),
}
# A row: what was compared, the limit asked, the number reached, its spread, the medians.
NUMBER = r"-?\d+(\.\d+)?(e[+-]\d+)?"
CELLS = rf"  +[<>]= [\d.]+ +{NUMBER} +{NUMBER}\.\.{NUMBER}  +\S.* \S+, \S.*"


def rows_printed(name):
    """The lines under the table's head."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--quick", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    head, = (at for at, line in enumerate(lines) if line.split()[:3] == ["what", "asked", "reached"])
    return lines[head + 1:]


@pytest.mark.parametrize("name", ROWS)
def test_benchmark_prints_a_row_for_everything_it_measures(name):
    printed = rows_printed(name)
    assert len(printed) == len(ROWS[name])
    for line, what in zip(printed, ROWS[name]):
        assert re.match(re.escape(what) + r"\b.*?" + CELLS, line), line


def test_every_benchmark_is_run_by_the_test_above():
    modules = {path.stem for path in HERE.glob("*.py")} - {"timing", "test_benchmarks", "__init__"}
    assert modules == set(ROWS)
