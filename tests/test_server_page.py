"""docs/server.md agrees with the program: exit codes, the options of its commands, and cron's lines.

Whether the commands work is tested in tests/slow/test_server.py.
"""

import re
import shlex
from pathlib import Path

import pytest

from charlm import errors
from charlm.cli.train import command
from charlm.reports.heartbeat import INTERVAL

PAGE = (Path(__file__).parents[1] / "docs" / "server.md").read_text(encoding="utf-8")
CODES = {int(code): answer.startswith("yes")
         for codes, answer in re.findall(r"^\| ([\d, ]+) \| .* \| (yes|no).* \|$", PAGE, re.MULTILINE)
         for code in codes.split(",")}
FIELDS = (range(60), range(24), range(1, 32), range(1, 13), range(8))       # of cron


def blocks(language):
    """Return the contents of the page's fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def cron_lines():
    """Return the five fields and the command of each of cron's lines."""
    lines = [line for block in blocks("cron") for line in block.splitlines() if not line.startswith("#")]
    return [(line.split(None, 5)[:5], line.split(None, 5)[5]) for line in lines]


def test_every_exit_code_is_in_the_table():
    own = {error.exit_code for error in vars(errors).values() if isinstance(error, type)}
    assert len(own) == 7 and set(CODES) == own | {0, 129, 130, 137, 143}


def test_loop_and_services_stop_where_the_table_says():
    loop, = (block for block in blocks("sh") if "case $code" in block)
    restarted = re.search(r"([\d |]+)\) ;;", loop).group(1).split("|")
    assert {int(code) for code in restarted} == {code for code, repeat in CODES.items() if repeat}
    prevented = re.findall(r"^RestartPreventExitStatus=(.*)$", PAGE, re.MULTILINE)
    never = {code for code, repeat in CODES.items() if code and not repeat}
    assert len(prevented) == 2 and all({*map(int, codes.split())} == never for codes in prevented)


@pytest.mark.parametrize("words", [
    shlex.split(words) for words in re.findall(r"charlm train ([^|&\n`>]+)", "".join(map("".join, (
        blocks("cron"), blocks("ini"), blocks("sh"))))) if "$@" not in words], ids=" ".join)
def test_every_command_has_valid_options(words):
    context = command.make_context("train", words)
    assert context.params["resume"] and context.params["force"]


def test_cron_lines_have_five_fields_in_their_ranges():
    assert len(cron_lines()) == 4
    for fields, line in cron_lines():
        for field, values in zip(fields, FIELDS, strict=True):
            number = re.fullmatch(r"\*(?:/(\d+))?|(\d+)", field)
            assert number and all(int(part) in values for part in number.groups() if part), field
        assert "%" not in line          # cron would end the line there


def test_the_page_knows_how_often_the_heart_beats():
    assert INTERVAL == 10 and "replaced every ten seconds" in PAGE
