"""README's commands work as they stand there, but for the length of training."""

import gzip
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_commands():
    """Lines of README's blocks that begin a pipeline of charlm's, without their comments."""
    lines = re.findall(r"^(?: {4})?((?:zcat|charlm|echo|printf|cat|cut|torchrun) [^\n]*)$", README, re.MULTILINE)
    return [line.split("  #")[0].strip() for line in lines if not {"MODEL", "CORPUS", "FILE"}.intersection(re.findall("[A-Z]+", line))]


def pipelines():
    """Commands with the output that README shows for them."""
    block, = re.findall(r"```sh\n(charlm sample -m places.*?)```", README, re.DOTALL)
    parts = re.findall(r"^([^#\n][^\n]*)\n((?:#   [^\n]*\n)+)", block, re.MULTILINE)
    return [(command, [line[4:] for line in shown.splitlines()]) for command, shown in parts]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the texts that README speaks of and `charlm` on the path."""
    folder = tmp_path_factory.mktemp("readme")
    text = (ROOT / "corpora" / "ferrywoman.txt").read_text(encoding="utf-8")[:20_000]
    (folder / "corpus.txt").write_text(text, encoding="utf-8")
    (folder / "held-out.txt").write_text(text[-2_000:], encoding="utf-8")
    for name in ("novel.txt", "diary.txt", "more.txt"):
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "ferrywoman.txt").write_text(text, encoding="utf-8")
    (folder / "server.log").write_text("GET /\nPOST /cart\n", encoding="utf-8")
    for name in ("places.txt", "counting.tsv", "numbers.tsv"):
        some = (ROOT / "corpora" / name).read_text(encoding="utf-8").splitlines(keepends=True)[:300]
        (folder / name).write_text("".join(some), encoding="utf-8")
    (folder / "names.txt").write_text("emma\nolivia\nava\nisabella\n" * 3 + "mia\n", encoding="utf-8")
    (folder / "surnames.tsv").write_text("Irish\tO'Malley\nPolish\tKowalski\n" * 5, encoding="utf-8")
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


@pytest.fixture(scope="module")
def models(folder):
    """The models that pipelines and Python use, hardly trained."""
    for flags in ("places.txt --lines", "counting.tsv --labels", "ferrywoman.txt", "numbers.tsv",
                  "ferrywoman.txt --fill -o gaps.charlm"):
        done = run(f"charlm train {flags} --force --quiet", folder, steps=20)
        assert done.returncode == 0, done.stderr
    return folder


def run(command, folder, steps=3):
    """A command with trainings cut short, and a bound that hardly trained models can meet."""
    length = {} if "--minutes" in command else {"CHARLM_TRAIN_STEPS": str(steps)}
    command = re.sub(r"--minutes \d+", "--minutes 0.05", command).replace("--max-bpc 2.5", "--max-bpc 20")
    command = command.replace("torchrun", f"{shlex.quote(sys.executable)} -m torch.distributed.run")
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder, capture_output=True, text=True, timeout=120,
        env={**os.environ, **length, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
             "CHARLM_TRAIN_HIDDEN": "16"})


def test_readme_names_every_verb():
    from charlm.cli.main import VERBS
    assert all(f"charlm {verb}" in README for verb in VERBS)


@pytest.mark.slow
def test_every_command_of_readme_runs_in_its_order(folder):
    shown = [command for command, _ in pipelines()]
    commands = [command for command in shell_commands() if command not in shown]
    assert len(commands) >= 6
    for command in commands:
        done = run(command, folder)
        assert done.returncode == 0, (command, done.stderr)
        assert "charlm train" in command or done.stdout, command


def test_every_test_that_readme_names_is_there():
    named = re.findall(r"`(tests/[\w/]+\.py)`", README)
    assert len(named) > 10 and all((ROOT / name).is_file() for name in named)


@pytest.mark.slow
def test_every_pipeline_of_readme_answers_in_the_form_that_is_shown(models):
    assert len(pipelines()) >= 10
    for command, shown in pipelines():
        done = run(command, models)
        lines = done.stdout.splitlines()
        assert done.returncode == 0, (command, done.stderr)
        assert lines and lines[0].count("\t") == shown[0].count("\t"), (command, lines)
        if "head -" in command or " -N " in command or "total" in command:
            assert len(lines) == len(shown), (command, lines)


@pytest.mark.slow
def test_readmes_python_runs_without_torch(models):
    block, = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for verb in ("sample", "stream", "score", "classify", "translate", "fill"):
        assert f".{verb}(" in block
    block += "import sys\nassert 'torch' not in sys.modules\n"
    done = subprocess.run([sys.executable, "-c", block], cwd=models, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_readme_has_one_setup_command_and_one_test_command():
    blocks = re.findall(r"```sh\n(python3 -m venv [^\n]*)\n```", README)
    assert len(blocks) == 2
    assert "charlm train corpora/ferrywoman.txt" in blocks[0] and "charlm sample" in blocks[0]
    assert blocks[1].endswith("-m pytest -n 2 --dist worksteal")


def test_every_proof_that_readme_names_is_there():
    named = set(re.findall(r"`(tests/[a-z_/]+\.py)`", README))
    assert len(named) > 15
    assert not [name for name in named if not (ROOT / name).is_file()]
