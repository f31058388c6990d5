"""The command as a whole: help, version, suggestions, environment variables, completion."""

import shlex
import subprocess

import click
import pytest

from charlm import __version__
from charlm.cli.main import VERBS, cli
from tests.helpers.runners import error_line, run_process


def verb(name):
    return cli.get_command(click.Context(cli, info_name="charlm"), name)


def examples(command):
    """Return the lines below a command's flags, which must be examples."""
    heading, *lines = command.epilog.replace("\b\n", "").splitlines()
    assert heading.strip() == "Examples:"
    return [line.strip() for line in lines]


def without_redirections(words):
    """Return the words that the shell passes to a command, without `< file` and `> file`."""
    kept = list(words)
    while redirections := {"<", ">"} & set(kept):
        at = min(map(kept.index, redirections))
        assert len(kept) > at + 1, f"{words} ends in a redirection to nowhere"
        del kept[at:at + 2]
    return kept


@pytest.mark.parametrize("name", [None, *VERBS])
def test_every_help_ends_with_examples_that_parse(name, capsys):
    command = verb(name) if name else cli
    lines = examples(command)
    assert len(lines) >= 3
    for line in lines:
        used = []
        for part in line.replace("&&", "|").split(" | "):
            words = without_redirections(shlex.split(part))
            if words[0] == "charlm":
                used.append(words[1])
                verb(words[1]).make_context(words[1], words[2:]).close()
        assert name is None or name in used
    with pytest.raises(click.exceptions.Exit):
        command.make_context("charlm", ["--help"])
    shown = capsys.readouterr().out
    assert [line.strip() for line in shown.rstrip().splitlines()[-len(lines):]] == lines


def test_every_flag_has_a_help_text():
    for name in VERBS:
        flags = [parameter for parameter in verb(name).params if isinstance(parameter, click.Option)]
        assert flags and all(flag.help for flag in flags)


def test_the_main_help_lists_every_verb_without_heavy_imports():
    done = run_process("--help", python=["-X", "importtime"])
    done.check()
    for name in VERBS:
        assert f"\n  {name} " in done.text
    imported = {line.rsplit("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "click" in imported and not {"torch", "numpy", "rich"} & imported


def test_the_command_without_a_verb_shows_the_help():
    done = run_process()
    assert done.code in (0, 2)
    assert (done.text + done.stderr).strip() == run_process("--help").text.strip()


def test_version_is_printed():
    assert run_process("--version").stdout == f"charlm {__version__}\n".encode()


@pytest.mark.parametrize("typed, meant", [
    (["sampel"], "sample"), (["trian"], "train"), (["transalte"], "translate"), (["fil"], "fill"),
    (["evaluate"], "eval"), (["dance"], ", ".join(VERBS)),
    (["sample", "--tempo", "1"], "--temp"), (["train", "--hiden", "8", "x"], "--hidden")])
def test_a_misspelled_word_suggests_the_right_one(typed, meant):
    done = run_process(*typed)
    assert meant in error_line(done, 2)


def test_flags_can_be_set_by_environment_variables(model):
    variables = {"CHARLM_MODEL": str(model), "CHARLM_SAMPLE_TEMPERATURE": "0", "CHARLM_SAMPLE_LENGTH": "40",
             "CHARLM_SAMPLE_PROMPT": "10 green"}
    done = run_process("sample", env=variables)
    flags = run_process("sample", "-m", model, "--temp", 0, "-n", 40, "-p", "10 green")
    assert done.stdout == flags.stdout != b""
    assert run_process("sample", env=variables | {"CHARLM_SAMPLE_TEMPERATURE": "nan"}).code == 2


def test_a_flag_overrides_its_environment_variable(model):
    done = run_process("sample", "-m", model, "-n", 4, "--temp", 0, env={"CHARLM_MODEL": "missing.charlm", "CHARLM_SAMPLE_LENGTH": "9"})
    assert (done.code, len(done.text)) == (0, 4)


def test_the_completion_script_is_bash_and_completes_verbs_and_flags():
    done = run_process(env={"_CHARLM_COMPLETE": "bash_source"})
    assert b"complete" in done.stdout and b"_CHARLM_COMPLETE=bash_complete" in done.stdout
    checked = subprocess.run(["bash", "-n"], input=done.stdout, capture_output=True, timeout=20, check=True)
    assert checked.stderr == ""

    def completed(words, at):
        return run_process(env={"_CHARLM_COMPLETE": "bash_complete", "COMP_WORDS": words,
                           "COMP_CWORD": str(at)}).text.split()
    assert completed("charlm sa", 1) == ["plain,sample"]
    assert "plain,--temperature" in completed("charlm sample --te", 2)
