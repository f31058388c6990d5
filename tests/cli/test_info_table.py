"""`charlm info` of several models: a table, or a JSON object each; files that are not models are skipped."""

import dataclasses
import json
import shutil

import pytest

from charlm.modelfile import load, save
from charlm.provenance import Provenance
from tests.helpers.runners import run_in_process

DATE = "2026-11-27T14:05:06Z"


@pytest.fixture(autouse=True)
def models(model, pairs_model, tmp_path):
    """Two models in a folder, one of which knows where it comes from."""
    (tmp_path / "models").mkdir()
    shutil.copy(pairs_model, tmp_path / "models" / "z.charlm")
    known = dataclasses.replace(load(str(model)), provenance=Provenance(date=DATE, corpus=("日本.txt", "a\tb")))
    save(str(tmp_path / "models" / "a.charlm"), known)


def rows(*names, code=0):
    """Return the rows of the table by file."""
    done = run_in_process("info", *names)
    assert done.code == code, done
    heads, *lines = (line.split("\t") for line in done.text.splitlines())
    assert heads == ["task", "size", "bits_per_character", "date", "corpus", "file"]
    return [dict(zip(heads, line, strict=True)) for line in lines]


def test_a_table_has_a_row_for_each_model_in_the_given_order(tmp_path):
    z, a = rows("models/z.charlm", "models/a.charlm")
    assert (z["task"], z["file"], a["task"], a["file"]) == ("pairs", "models/z.charlm", "text", "models/a.charlm")
    assert (a["date"], a["corpus"], z["corpus"]) == (DATE, "日本.txt,a\\tb", "none")
    assert int(a["size"]) == (tmp_path / "models" / "a.charlm").stat().st_size
    assert float(a["bits_per_character"]) == pytest.approx(
        load("models/a.charlm").training["bits_per_character"], rel=1e-5)


@pytest.mark.parametrize("names", [["models"], ["models/*.charlm"], ["models/"]])
def test_a_folder_or_a_pattern_means_its_models(names):
    assert [row["file"].rpartition("/")[2] for row in rows(*names)] == ["a.charlm", "z.charlm"]


def test_a_folder_with_one_model_is_a_table(tmp_path):
    (tmp_path / "models" / "z.charlm").unlink()
    assert [row["task"] for row in rows("models")] == ["text"]


def test_records_of_several_models_are_those_of_each_one():
    both = run_in_process("info", "models", "--jsonl").check().stdout
    assert both == b"".join(run_in_process("info", f"models/{name}.charlm", "--jsonl").stdout for name in "az")


@pytest.mark.parametrize("flags", [[], ["--jsonl"]])
def test_files_that_are_no_models_are_reported_and_the_others_shown(tmp_path, flags):
    flipped = bytearray((tmp_path / "models" / "a.charlm").read_bytes())
    flipped[-9] ^= 1                    # a bit of a weight
    (tmp_path / "flipped").write_bytes(flipped)
    (tmp_path / "empty").mkdir()
    done = run_in_process("info", "flipped", "models/a.charlm", "missing", "empty", "models/z.charlm", *flags)
    shown = [json.loads(line)["file"] if flags else line.rpartition("\t")[2] for line in done.text.splitlines()]
    assert (done.code, shown[-2:]) == (3, ["models/a.charlm", "models/z.charlm"])
    first, second, third = done.stderr.splitlines()
    assert first.startswith("charlm: error: flipped: damaged") and "missing: cannot be read" in second
    assert third == "charlm: error: empty: cannot be read (a folder without *.charlm)"


def test_columns_are_aligned_however_wide_their_characters_are():
    from charlm.cli.inventory import COLUMNS, _aligned
    heads, one, other = _aligned([
        COLUMNS, ("text", 3_511_292, 1.98888, DATE, ("日本語" * 9,), "日.charlm"),
        ("pairs", 120_000_000, None, None, ("a", "b\x1b[31m"), "b.charlm")]).splitlines()
    assert heads == f"task       size  bits per character  date                  corpus{'':19}file"
    assert one == f"text     3.5 MB              1.9889  {DATE}  日本語日本語日本語日本…  日.charlm"
    assert other == f"pairs  120.0 MB                none  none{'':18}a,b␛[31m{'':17}b.charlm"
