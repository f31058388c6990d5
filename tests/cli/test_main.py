"""The command as a whole: help, version, suggestions, environment twins, completion."""

import shlex
import subprocess

import click
import pytest

from charlm import __version__
from charlm.cli.main import VERBS, cli


def verb(name):
    return cli.get_command(click.Context(cli, info_name="charlm"), name)


def examples(command):
    """The lines below a command's flags, which must be examples."""
    heading, *lines = command.epilog.replace("\b\n", "").splitlines()
    assert heading.strip() == "Examples:"
    return [line.strip() for line in lines]


def without_redirections(words):
    """A command's words as the shell hands them over: `< file` and `> file` are the shell's own."""
    kept = list(words)
    while redirections := {"<", ">"} & set(kept):
        at = min(map(kept.index, redirections))
        assert len(kept) > at + 1, f"{words} ends in a redirection to nowhere"
        del kept[at:at + 2]
    return kept


@pytest.mark.parametrize("name", [None, *VERBS])
def test_every_help_ends_with_commands_that_parse(name, capsys):
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


def test_every_flag_says_what_it_is_for():
    for name in VERBS:
        flags = [parameter for parameter in verb(name).params if isinstance(parameter, click.Option)]
        assert flags and all(flag.help for flag in flags)


def test_the_help_of_the_whole_lists_every_verb_at_once(charlm):
    done = charlm("--help", python=["-X", "importtime"])
    assert done.returncode == 0
    for name in VERBS:
        assert f"\n  {name} " in done.stdout.decode()
    imported = {line.rsplit("|")[-1].strip() for line in done.stderr.decode().splitlines()}
    assert "click" in imported and not {"torch", "numpy", "rich"} & imported


def test_the_command_alone_shows_the_same_help(charlm):
    done = charlm()
    assert done.returncode in (0, 2)
    assert (done.stdout + done.stderr).decode().strip() == charlm("--help").stdout.decode().strip()


def test_version_is_told(charlm):
    assert charlm("--version").stdout == f"charlm {__version__}\n".encode()


@pytest.mark.parametrize("typed, meant", [
    (["sampel"], "sample"), (["trian"], "train"), (["transalte"], "translate"), (["fil"], "fill"),
    (["evaluate"], "eval"), (["dance"], ", ".join(VERBS)),
    (["sample", "--tempo", "1"], "--temp"), (["train", "--hiden", "8", "x"], "--hidden")])
def test_a_wrong_word_suggests_the_right_one(charlm, refusal, typed, meant):
    done = charlm(*typed)
    assert done.returncode == 2
    assert meant in refusal(done)


def test_flags_have_environment_twins(charlm, model):
    twins = {"CHARLM_MODEL": str(model), "CHARLM_SAMPLE_TEMPERATURE": "0", "CHARLM_SAMPLE_LENGTH": "40",
             "CHARLM_SAMPLE_PROMPT": "10 green"}
    done = charlm("sample", env=twins)
    flags = charlm("sample", "-m", model, "--temp", 0, "-n", 40, "-p", "10 green")
    assert done.stdout == flags.stdout != b""
    assert charlm("sample", env=twins | {"CHARLM_SAMPLE_TEMPERATURE": "nan"}).returncode == 2


def test_a_flag_wins_over_its_twin(charlm, model):
    done = charlm("sample", "-m", model, "-n", 4, "--temp", 0,
                  env={"CHARLM_MODEL": "missing.charlm", "CHARLM_SAMPLE_LENGTH": "9"})
    assert (done.returncode, len(done.stdout.decode())) == (0, 4)


def test_the_completion_script_is_bash_and_completes_verbs_and_flags(charlm):
    done = charlm(env={"_CHARLM_COMPLETE": "bash_source"})
    assert b"complete" in done.stdout and b"_CHARLM_COMPLETE=bash_complete" in done.stdout
    checked = subprocess.run(["bash", "-n"], input=done.stdout, capture_output=True, timeout=20, check=True)
    assert checked.stderr == b""

    def completed(words, at):
        return charlm(env={"_CHARLM_COMPLETE": "bash_complete", "COMP_WORDS": words,
                           "COMP_CWORD": str(at)}).stdout.decode().split()
    assert completed("charlm sa", 1) == ["plain,sample"]
    assert "plain,--temperature" in completed("charlm sample --te", 2)
