"""`charlm fill`: gaps in lines.

Not here: the behaviour that it shares with other filters (test_line_reader.py).
"""

import json
import os
import re
import shutil

import numpy as np
import pytest

from charlm.modelfile import load, save
from tests.helpers.runners import run_in_process
from tests.helpers.texts import BRIEF, as_lines

GAPS = ["1___ green bottles", "and if one ___ should fall", "no gap here", "___", "señor, ___ing ___ the w___"]


@pytest.fixture
def fill(fill_model):
    """Return a function from bytes or lines to what `charlm fill` writes for them."""
    def run(data, *flags, model=fill_model):
        data = data if isinstance(data, bytes) else as_lines(data).encode()
        return run_in_process("fill", "-m", model, *flags, stdin=data).check().text
    return run


@pytest.fixture
def records(fill):
    """Return a function from lines to their JSON records."""
    def run(data, *flags):
        return [json.loads(line) for line in fill(data, *flags, "--jsonl").splitlines()]
    return run


@pytest.fixture
def sampled_fill(fill):
    """Return `fill` with samples of seed 3, so that lines and alternatives differ."""
    return lambda data, *flags: fill(data, "--seed", 3, "--temp", 1, *flags)


def test_the_text_around_gaps_is_kept_and_every_gap_is_filled(records, sampled_fill):
    found = records(GAPS, "--seed", 3, "--temp", 1)
    for record, line in zip(found, GAPS, strict=True):
        parts = line.split("___")
        assert len(record["fills"]) == len(parts) - 1
        filled = parts[0] + "".join(fill + part for fill, part in zip(record["fills"], parts[1:], strict=True))
        assert record["text"] == filled and "___" not in filled
    assert [record["line"] for record in found] == [1, 2, 3, 4, 5]
    assert "".join(record["text"] + "\n" for record in found) == sampled_fill(GAPS)
    assert any(fill for record in found for fill in record["fills"])


def test_a_line_without_a_gap_is_copied_byte_for_byte(fill):
    data = "\x1b[0m\ttab\0 señor ☃\r\n\r\nlone\rreturn\u2028 __ a_b\x85\n \n\ufefftail\n".encode()
    assert fill(data) == data.decode()


def test_line_ends_are_kept(fill):
    text = "\n".join(GAPS) + "\n"
    assert fill(text.replace("\n", "\r\n").encode()) == fill(text.encode()).replace("\n", "\r\n")


@pytest.mark.parametrize("mark", ["[?]", ".", "(.*)", "☃", "\\", " "])
def test_any_text_can_mark_a_gap_and_is_taken_literally(records, mark):
    lines = ["one___green___bottle", "and"]
    marked = [line.replace("___", mark) for line in lines]
    assert records(marked, "--gap", mark) == records(lines)


def test_another_gap_mark_leaves_the_default_mark_alone(fill):
    assert fill(["a ___ b"], "--gap", "[?]") == "a ___ b\n"


def test_3000_lines_of_mixed_length_are_filled_in_order(fill):
    rng = np.random.default_rng(0)
    lines = [f"{number} gr___n{'x' * rng.integers(40)}" for number in range(3000)]
    answers = fill(lines).splitlines()
    assert [answer.split()[0] for answer in answers] == [line.split()[0] for line in lines]
    for part in (slice(0, 5), slice(2000, 2005)):
        assert answers[part] == [fill([line]).removesuffix("\n") for line in lines[part]]


def test_alternatives_are_one_a_line_and_lines_keep_their_order(sampled_fill):
    rows = sampled_fill(["1 ___ green", "plain", "2 ___ fall"], "-N", 4).splitlines()
    assert [row.split()[0] for row in rows] == ["1"] * 4 + ["plain"] * 4 + ["2"] * 4
    assert len(set(rows)) > 6


def test_records_of_alternatives_hold_their_line_and_match_the_text(records, sampled_fill):
    flags = ["--seed", 3, "--temp", 1, "-N", 3]
    found = records(GAPS, *flags)
    assert [record["line"] for record in found] == [line for line in range(1, 6) for _ in range(3)]
    assert "".join(record["text"] + "\n" for record in found) == sampled_fill(GAPS, "-N", 3)


def test_zero_alternatives_give_no_output(fill):
    assert fill(GAPS, "-N", 0) == ""


def test_one_filling_is_greedy_by_default_and_several_are_sampled(fill):
    assert fill(GAPS) == fill(GAPS, "--temp", 0) == fill(GAPS, "--temp", 0, "--seed", 9)
    assert fill(GAPS, "-N", 2, "--seed", 3) == fill(GAPS, "-N", 2, "--seed", 3, "--temp", 1)
    assert fill(GAPS, "-N", 2, "--seed", 3) != fill(GAPS, "-N", 2, "--temp", 0)


def test_sampling_only_the_likeliest_token_is_greedy(sampled_fill, fill):
    greedy = fill(GAPS)
    assert all(sampled_fill(GAPS, *flags) == greedy for flags in (["--top-k", 1], ["--top-p", 0], ["--min-p", 1]))
    assert sampled_fill(GAPS) != greedy


def test_a_seed_repeats_a_filling_and_another_seed_does_not(fill):
    one, again, other = (fill(GAPS, "-N", 3, "--seed", seed) for seed in (1, 1, 2))
    assert one == again != other


def test_a_filling_does_not_depend_on_the_lines_beside_it(sampled_fill):
    five = sampled_fill(GAPS, "-N", 5).splitlines()
    two = sampled_fill(GAPS, "-N", 2).splitlines()
    assert [row for at in range(0, 25, 5) for row in five[at:at + 2]] == two
    others = sampled_fill(["x" * 90 + "___", GAPS[1], "", "", GAPS[4]], "-N", 2).splitlines()
    assert others[2:4] == two[2:4] and others[8:] == two[8:]
    assert others[:2] != two[:2]


def test_a_random_seed_is_printed_on_stderr_and_repeats_the_filling(fill_model, fill):
    data = as_lines(GAPS).encode()
    first, second = (run_in_process("fill", "-m", fill_model, "-N", 2, stdin=data) for _ in range(2))
    seed = re.fullmatch(r"charlm: seed (\d+)\n", first.stderr)[1]
    assert "seed" not in first.text
    assert fill(data, "-N", 2, "--seed", seed) == first.text
    assert first.stderr != second.stderr


@pytest.mark.parametrize("flags", [[], ["-N", 3, "--temp", 0], ["-N", 0], ["-N", 2, "--seed", 4]])
def test_no_seed_is_printed_if_it_was_given_or_nothing_depends_on_it(fill_model, flags):
    assert run_in_process("fill", "-m", fill_model, *flags, stdin=b"a ___ b\n").stderr == ""


def test_unknown_characters_around_a_filled_gap_are_kept(records):
    record, = records(["日本 ___ ☃"], "--seed", 1, "--temp", 1)
    assert record["text"] == f"日本 {record['fills'][0]} ☃"


def test_a_line_of_5000_characters_and_one_of_40_gaps_are_filled(records):
    long, many = records(["green " * 500 + "___" + " bottles" * 250, "a___" * 40])
    assert re.fullmatch("(green ){500}(.*)( bottles){250}", long["text"])[2] == long["fills"][0]
    assert len(many["fills"]) == 40 and "___" not in many["text"]


@pytest.mark.parametrize("tokenizer", ["char", "byte", "bpe", "unigram"])
def test_a_filling_stays_on_one_line_whatever_the_tokens_are(verses, tmp_path, tokenizer):
    path = str(tmp_path / "m.charlm")
    size = ["--vocab-size", 290] if tokenizer in ("bpe", "unigram") else []
    run_in_process("train", verses, "-o", path, "--fill", *BRIEF, "--quiet", "--tokenizer", tokenizer, *size).check()
    model = load(path)
    for token in range(model.tokenizer.size):
        if "\n" in "".join(model.tokenizer.decoder().push([token])):
            model.weights["head.bias"][token] = 10
    save(path, model)
    done = run_in_process("fill", "-m", path, "-N", 20, "--seed", 1, stdin=b"a ___ b").check()
    assert done.stdout.count(b"\n") == 20


def test_the_newest_fill_model_is_used_among_models_of_several_tasks(fill_model, pairs_model, tmp_path):
    for age, (name, kind) in enumerate([("old", fill_model), ("newer", fill_model), ("newest", pairs_model)]):
        shutil.copy(kind, tmp_path / f"{name}.charlm")
        os.utime(tmp_path / f"{name}.charlm", (1e9 + age, 1e9 + age))
    (tmp_path / "damaged.charlm").write_bytes(b"no model")
    assert run_in_process("fill", stdin=b"a___b\n").stderr == "charlm: using newer.charlm\n"
    assert run_in_process("translate", stdin=b"ab\n").stderr.startswith("charlm: using newest.charlm\n")
