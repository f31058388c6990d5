"""`charlm help`, for users who look for a command instead of `--help`."""

import pytest

from charlm.cli.main import VERBS
from tests.helpers.runners import error_line, run_in_process


def test_help_alone_prints_the_general_help():
    help_ = run_in_process("--help").check().text
    assert all(f"\n  {verb} " in help_ for verb in VERBS)
    assert run_in_process("help").check().text == run_in_process("help", "help").check().text == help_


@pytest.mark.parametrize("verb", VERBS)
def test_help_and_a_verb_prints_the_help_of_the_verb(verb):
    shown = run_in_process("help", verb).check()
    assert shown.text == run_in_process(verb, "--help").check().text
    assert shown.text.startswith(f"Usage: charlm {verb} ")


@pytest.mark.parametrize("words", [["help", "sampel"], ["sampel"]])
def test_help_of_an_unknown_verb_suggests_the_nearest(words):
    assert "no such command 'sampel'; did you mean sample?" in error_line(run_in_process(*words), 2)


def test_the_help_of_temperature_says_which_direction_is_which():
    for verb in ("sample", "fill"):
        words = " ".join(run_in_process("help", verb).text.split())
        assert "Below 1: safer and more repetitive; above 1: more varied; 0: always the likeliest token." in words


def test_examples_that_follow_a_file_end_in_programs_that_do_not_buffer():
    examples = [line for verb in VERBS for line in run_in_process("help", verb).text.splitlines() if "tail -f" in line]
    assert any("charlm filter --min-bpc" in line for line in examples)
    for line in examples:
        assert {part.split()[0] for part in line.split("|")} <= {"tail", "charlm", "jq"}, line     # mawk buffers
