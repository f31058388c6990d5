"""Where a model comes from: what is recorded, within bounds, and what SOURCE_DATE_EPOCH leaves of it."""

import pytest

from charlm.errors import ModelFileError, UsageError
from charlm.provenance import MAX_COMMAND, MAX_NAMES, Provenance, provenance_of
from charlm.version import __version__

WORDS = ["charlm", "train", "a text.txt"]


@pytest.fixture
def clock(monkeypatch):
    """Return a function that sets SOURCE_DATE_EPOCH, or removes it."""
    def set_(value=None):
        monkeypatch.setattr("charlm.provenance.time.time", lambda: 86_400.5)
        monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
        if value is not None:
            monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    return set_


def test_a_run_records_command_date_and_texts(clock):
    clock()
    made = provenance_of(WORDS, ["/home/me/a text.txt", "-"], init_from="old/b.charlm", init_digest="0" * 64)
    assert made == Provenance(__version__, "1970-01-02T00:00:00Z", "charlm train 'a text.txt'", ("a text.txt", "-"),
                              "b.charlm", "0" * 64, 0.0)
    assert Provenance.from_json(made.to_json()) == made


def test_a_fixed_date_leaves_only_what_repeats(clock):
    clock("1500000000")
    assert provenance_of(WORDS, ["a text.txt"], init_from="b.charlm", init_digest="0" * 64) == Provenance(
        __version__, "2017-07-14T02:40:00Z", init_digest="0" * 64)


def test_unknown_fields_are_left_out_and_read_back():
    assert Provenance().to_json() == {} and Provenance.from_json({}) == Provenance()
    assert Provenance.from_json(Provenance(seconds=0.0).to_json()).seconds == 0.0


def test_long_commands_and_lists_of_names_are_shortened(clock):
    clock()
    names = [f"{number}{'n' * 90}" for number in range(40)]
    made = provenance_of([*WORDS, *["x" * 90] * 40], names, init_from="m" * 300)
    assert len(made.command) == MAX_COMMAND and made.command.endswith("…")
    assert made.corpus[-1] == "and 35 more" and sum(map(len, made.corpus)) <= MAX_NAMES + 20
    assert Provenance.from_json(made.to_json()) == made


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 13, "999999999999", " 1"])
def test_a_date_that_is_none_is_a_usage_error(clock, value):
    clock(value)
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        provenance_of(WORDS, [])


@pytest.mark.parametrize("values", [
    None, [], "x", {"more": 1}, {"charlm": 1}, {"date": None}, {"date": "x" * 256}, {"command": "x" * 1001},
    {"command": ["x"]}, {"corpus": "x"}, {"corpus": [1]}, {"corpus": ["x" * 1001]}, {"corpus": [""] * 501},
    {"init_from": {}}, {"init_digest": "0" * 63}, {"init_digest": "x" * 64}, {"seconds": -1}, {"seconds": "1"},
    {"seconds": float("nan")}, {"seconds": float("inf")}, {"seconds": True}], ids=str)
def test_an_invalid_provenance_is_refused(values):
    with pytest.raises(ModelFileError, match="provenance"):
        Provenance.from_json(values)
