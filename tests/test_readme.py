"""README's commands work as they stand there, but for the length of training."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_commands():
    """Lines of README's blocks that begin a pipeline of charlm's, without their comments."""
    lines = re.findall(r"^(?: {4})?((?:zcat |charlm |echo )[^\n]*)$", README, re.MULTILINE)
    return [line.split("  #")[0].strip() for line in lines if "[" not in line and "CORPUS" not in line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the texts that README speaks of and `charlm` on the path."""
    folder = tmp_path_factory.mktemp("readme")
    text = (ROOT / "corpora" / "ferrywoman.txt").read_text(encoding="utf-8")[:20_000]
    (folder / "corpus.txt").write_text(text, encoding="utf-8")
    (folder / "held-out.txt").write_text(text[-2_000:], encoding="utf-8")
    (folder / "novel.txt").write_text(text, encoding="utf-8")
    (folder / "damaged.txt").write_text("The river ___ the ___\nno gap\na [?] b\n", encoding="utf-8")
    pairs = (ROOT / "corpora" / "numbers.tsv").read_text(encoding="utf-8").splitlines(keepends=True)[:200]
    (folder / "lexicon.tsv").write_text("".join(pairs), encoding="utf-8")
    (folder / "lexicon.test.tsv").write_text("".join(pairs[:20]), encoding="utf-8")
    (folder / "words.txt").write_text("342\n7\n", encoding="utf-8")
    (folder / "big.txt.gz").write_bytes(gzip.compress(text.encode("utf-8")))
    (folder / "bin").mkdir()
    script = folder / "bin" / "charlm"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m charlm "$@"\n')
    script.chmod(0o755)
    return folder


def run(command, folder):
    length = {} if "--minutes" in command else {"CHARLM_TRAIN_STEPS": "3"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("--minutes 10", "--minutes 0.05")],
        cwd=folder, capture_output=True, text=True, timeout=120,
        env={**os.environ, **length, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
             "CHARLM_TRAIN_HIDDEN": "16"})


def test_readme_names_every_verb():
    from charlm.cli.main import VERBS
    assert all(f"charlm {verb}" in README for verb in VERBS)


def test_every_command_of_readme_runs_in_its_order(folder):
    commands = shell_commands()
    assert len(commands) >= 6
    for command in commands:
        done = run(command, folder)
        assert done.returncode == 0, (command, done.stderr)
        assert "charlm train" in command or done.stdout, command


def test_readme_has_one_setup_command_and_one_test_command():
    blocks = re.findall(r"```sh\n(python3 -m venv [^\n]*)\n```", README)
    assert len(blocks) == 2
    assert "charlm train corpora/ferrywoman.txt" in blocks[0] and "charlm sample" in blocks[0]
    assert blocks[1].endswith("-m pytest")
