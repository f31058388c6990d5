"""Every command of docs/lessons.md runs, in order, and shows what the page says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LESSONS = (ROOT / "docs" / "lessons.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What each command of the page prints, by command."""
    folder = tmp_path_factory.mktemp("lessons")
    shutil.copytree(ROOT / "corpora", folder / "corpora")
    (folder / "bin").mkdir()
    script = folder / "bin" / "charlm"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m charlm "$@"\n')
    script.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    found = {}
    for command in "".join(re.findall(r"^```sh\n(.*?)^```", LESSONS, re.DOTALL | re.MULTILINE)).splitlines():
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=folder, env=environment,
                              capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, (command, done.stderr)
        found[command] = done.stdout
    return found


def output_of(outputs, words):
    """Return what the only command with these words prints."""
    output, = (output for command, output in outputs.items() if words in command)
    return output


def last_rows(outputs, words):
    """Return the last row of each model in a table of curves, by model."""
    names, *rows = (line.split("\t") for line in output_of(outputs, words).splitlines())
    return {row[0]: dict(zip(names, row, strict=True)) for row in rows}


def test_the_word_has_one_continuation(outputs):
    first, chance = output_of(outputs, "charlm next").splitlines()[0].split("\t")
    assert first == "r" and float(chance) >= 0.99


def test_gradients_vanish_in_the_plain_layer_first(outputs):
    rows = [line.split("\t") for line in output_of(outputs, "view --gradients").splitlines()[1:]]
    at_fifty = {model: float(norm) for model, step, norm in rows if step == "50"}
    assert 1e3 * at_fifty["rnn.charlm"] < at_fifty["lstm.charlm"]


def test_overfitting_and_dropout_look_as_described(outputs):
    last = last_rows(outputs, "view --curves over")
    gaps = {model: float(row["held_out"]) - float(row["loss"]) for model, row in last.items()}
    assert gaps["over.charlm"] > 0.7 > 0.3 > gaps["drop.charlm"]


def test_a_bidirectional_encoder_makes_fewer_errors(outputs):
    last = last_rows(outputs, "view --curves shared")
    assert float(last["both.charlm"]["error_rate"]) < 0.1 < float(last["shared.charlm"]["error_rate"])


def test_falling_pressure_means_rain(outputs):
    assert output_of(outputs, "echo '18 1013") == "rain\n" and output_of(outputs, "echo '18 1001") == "dry\n"


def test_a_cell_separates_quotes(outputs):
    assert float(output_of(outputs, "--find quotes").split("\t")[1]) > 0.55
