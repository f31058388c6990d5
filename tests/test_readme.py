"""README's commands work as printed, except that training is cut short."""

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
CORPORA = ROOT / "corpora"
MAX_LINES = 200


def shell_commands():
    """Return the lines of README's shell blocks that start a pipeline, without their comments."""
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE))
    lines = re.findall(r"^((?:zcat|charlm|echo|printf|cat|cut|torchrun) [^\n]*)$", blocks, re.MULTILINE)
    return [line.split("  #")[0].strip() for line in lines]


def examples():
    """Return the commands that README shows with their output, and the lines of that output."""
    block, = re.findall(r"```sh\n(charlm sample -m places.*?)```", README, re.DOTALL)
    parts = re.findall(r"^([^#\n][^\n]*)\n((?:#   [^\n]*\n)+)", block, re.MULTILINE)
    return [(command, [line[4:] for line in output.splitlines()]) for command, output in parts]


def first_lines(name, count):
    """Return the first lines of a corpus as one text."""
    return "".join((CORPORA / name).read_text(encoding="utf-8").splitlines(keepends=True)[:count])


def input_files():
    """Return the files that README's commands read, by name, small enough to train on in a second."""
    prose = (CORPORA / "ferrywoman.txt").read_text(encoding="utf-8")[:20_000]
    files = dict.fromkeys(("corpus.txt", "novel.txt", "diary.txt", "more.txt", "ferrywoman.txt"), prose)
    files |= {name: first_lines(name, 300) for name in ("places.txt", "counting.tsv", "numbers.tsv")}
    return files | {"held-out.txt": prose[-2_000:],
                    "server.log": "GET /\nPOST /cart\n" * 5,
                    "names.txt": "emma\nolivia\nava\nisabella\n" * 3 + "mia\n",
                    "surnames.tsv": "Irish\tO'Malley\nPolish\tKowalski\n" * 5,
                    "damaged.txt": "The river ___ the ___\nno gap\na [?] b\n",
                    "lexicon.tsv": first_lines("numbers.tsv", 200),
                    "lexicon.test.tsv": first_lines("numbers.tsv", 20),
                    "reviews.csv": 'stars,review\n5,"Good, but cold"\n1,Late\n' * 5,
                    "words.txt": "342\n7\n"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that README's commands read, and with `charlm` on the path."""
    folder = tmp_path_factory.mktemp("readme")
    for name, text in input_files().items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "big.txt.gz").write_bytes(gzip.compress((folder / "corpus.txt").read_bytes()))
    (folder / "bin").mkdir()
    script = folder / "bin" / "charlm"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m charlm "$@"\n')
    script.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def models(folder):
    """The same folder with the models that README's examples use, after a few training steps."""
    for arguments in ("places.txt --lines", "counting.tsv --labels", "ferrywoman.txt", "numbers.tsv",
                      "ferrywoman.txt --fill -o gaps.charlm"):
        done = run(f"charlm train {arguments} --force --quiet", folder, steps=20)
        assert done.returncode == 0, done.stderr
    return folder


def run(command, folder, steps=3):
    """Run a command in bash with training cut short and with a bound that weak models can meet."""
    length = {} if "--minutes" in command else {"CHARLM_TRAIN_STEPS": str(steps)}
    command = re.sub(r"--minutes \d+", "--minutes 0.05", command).replace("--max-bpc 2.5", "--max-bpc 20")
    command = command.replace("torchrun", f"{shlex.quote(sys.executable)} -m torch.distributed.run")
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder, capture_output=True, text=True, timeout=120,
        env={**os.environ, **length, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
             "CHARLM_TRAIN_HIDDEN": "16"})


def succeeded(done, command):
    """Return True if a command ended well; `head` may leave while the command before it still writes (141)."""
    return done.returncode == 0 or "| head" in command and done.returncode == 141


def test_readme_is_short():
    assert len(README.splitlines()) <= MAX_LINES


def test_readme_names_every_verb():
    from charlm.cli.main import VERBS
    assert all(f"charlm {verb}" in README for verb in VERBS)


def test_readme_has_one_setup_command_and_one_test_command():
    setup, test = re.findall(r"```sh\n(python3 -m venv [^\n]*)\n```", README)
    assert "charlm train corpora/ferrywoman.txt" in setup and "charlm sample" in setup
    assert test.endswith(" && .venv-test/bin/python -m pytest -n 2 --dist worksteal")
    assert f"<!-- test -->\n```sh\n{test}\n```" in README


@pytest.mark.slow
def test_every_command_of_readme_runs_in_order(folder):
    with_output = [command for command, _ in examples()]
    commands = [command for command in shell_commands() if command not in with_output]
    assert len(commands) >= 20
    for command in commands:
        done = run(command, folder)
        assert succeeded(done, command), (command, done.stderr)
        assert re.search("charlm train|--html| > ", command) or done.stdout, command


@pytest.mark.slow
def test_every_example_of_readme_prints_the_form_it_shows(models):
    assert len(examples()) >= 5
    for command, output in examples():
        done = run(command, models)
        lines = done.stdout.splitlines()
        assert succeeded(done, command), (command, done.stderr)
        assert lines and lines[0].count("\t") == output[0].count("\t"), (command, lines)
        if "head -" in command or " -N " in command or "total" in command:
            assert len(lines) == len(output), (command, lines)


@pytest.mark.slow
def test_readme_python_example_runs_without_torch(models):
    block, = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for verb in ("sample", "score", "classify", "translate", "fill"):
        assert f".{verb}(" in block
    block += "import sys\nassert 'torch' not in sys.modules\n"
    done = subprocess.run([sys.executable, "-c", block], cwd=models, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
