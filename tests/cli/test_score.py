"""`charlm score`: bits of each line, of each token, or of the whole text.

Not here: the behaviour that it shares with other filters (test_line_reader.py).
"""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.modelfile import load, save
from charlm.text.tokenizers.char import CODE_POINTS, SURROGATES
from tests.helpers.runners import error_line, run_in_process
from tests.helpers.texts import BRIEF

MIXED = "O'Banan\n\nx\nMutsson\r\nFotñez\nB\tz\n\0\n日本\nO'Lonan"
TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\r\n\n\0ñoan 10")))


@pytest.fixture
def score(lines_model):
    """Return a function from a text to what `charlm score` writes for it."""
    def run(text, *flags, model=lines_model):
        return run_in_process("score", "-m", model, *flags, stdin=text.encode()).check().text
    return run


@pytest.fixture
def records(score):
    """Return a function from a text to its JSON records."""
    def run(text, *flags, **which):
        return [json.loads(line) for line in score(text, "--jsonl", *flags, **which).splitlines()]
    return run


def vocabulary_size_of(path):
    return load(str(path)).config.vocabulary_size


def test_a_uniform_model_scores_log2_of_its_ids_for_each_character_and_end(score, uniform, lines_model):
    bits = math.log2(vocabulary_size_of(lines_model))
    for text, characters in (("", 1), ("B", 2), ("O'Banan", 8)):
        row = f"{bits:.4f}\t{characters * bits:.4f}\t{characters}\t{text}\n"
        assert score(f"{text}\n", model=uniform(lines_model)) == row


def test_an_unknown_character_also_costs_log2_of_all_unknown_characters(records, uniform, lines_model):
    model = uniform(lines_model)
    others = CODE_POINTS - SURROGATES - (load(str(lines_model)).tokenizer.size - 1)
    known, unknown = records("B\n日\n", model=model)
    assert unknown["bits"] - known["bits"] == pytest.approx(math.log2(others), abs=1e-5)


def test_a_text_model_counts_the_newline_of_each_line_that_has_one(records, uniform, model):
    bits = math.log2(vocabulary_size_of(model))
    rows = records("one\n\nt\r\ntwo", model=uniform(model))
    assert [row["characters"] for row in rows] == [4, 1, 3, 3]
    assert [row["text"] for row in rows] == ["one", "", "t", "two"]
    unknown = math.log2(CODE_POINTS - SURROGATES - (load(str(model)).tokenizer.size - 1))     # of the carriage return
    assert [row["bits"] for row in rows] == pytest.approx([4 * bits, bits, 3 * bits + unknown, 3 * bits], abs=1e-4)


def test_bits_per_character_do_not_depend_on_the_tokenizer(records, uniform, verses, tmp_path):
    run_in_process("train", verses, "-o", tmp_path / "bytes.charlm", "--tokenizer", "byte", *BRIEF, "--quiet").check()
    bytewise = uniform(tmp_path / "bytes.charlm")
    row, = records("ñé日", model=bytewise)
    total, = records("ñé日", "--level", "total", model=bytewise)
    assert (total["characters"], total["tokens"]) == (3, 7)
    assert total["bits_per_character"] == pytest.approx(row["bits_per_character"], abs=1e-5)
    assert row["characters"] == 3 and row["bits"] == pytest.approx(7 * 8, abs=1e-4)
    assert row["bits_per_character"] == pytest.approx(7 * 8 / 3, abs=1e-5)


def test_columns_are_bits_per_character_bits_characters_and_line(score, records):
    rows = [line.split("\t", 3) for line in score(MIXED).split("\n")[:-1]]
    assert [row[3] for row in rows] == [line.removesuffix("\r") for line in MIXED.split("\n")]
    for row, record in zip(rows, records(MIXED), strict=True):
        assert float(row[0]) == pytest.approx(record["bits_per_character"], abs=1e-4)
        assert float(row[1]) == pytest.approx(record["bits"], abs=1e-4)
        assert float(row[0]) * int(row[2]) == pytest.approx(float(row[1]), abs=2e-3)
        assert int(row[2]) == record["characters"] == len(row[3]) + 1


def test_records_hold_the_line_number_and_the_text(records):
    rows = records(MIXED)
    assert [row["line"] for row in rows] == [*range(1, MIXED.count("\n") + 2)]
    assert [set(row) for row in rows] == [{"line", "bits_per_character", "bits", "characters", "text"}] * len(rows)
    assert rows[6]["text"] == "\0"


def test_a_line_scores_the_same_with_crlf_and_alone(records):
    together = records(MIXED)
    for row in together:
        alone, = records(row["text"] + "\r\n")
        assert alone["bits"] == pytest.approx(row["bits"], abs=1e-5)


def test_lines_of_any_length_keep_their_order(records):
    lines = [f"{'O' * (n * 37 % 91)}{n}" for n in range(700)]
    assert [row["text"] for row in records("\n".join(lines))] == lines


@pytest.mark.parametrize("which", ["lines_model", "labels_model", "model"])
def test_the_bits_of_the_tokens_of_a_line_sum_to_the_bits_of_the_line(request, records, which):
    path = request.getfixturevalue(which)
    text = "O'Banan\n\nx\nMñ日\n"
    parts = records(text, "--level", "token", model=path)
    for row in records(text, model=path):
        own = [part for part in parts if part["line"] == row["line"]]
        blank = which == "labels_model" and not row["text"]
        assert [part["text"] for part in own] == ([] if blank else [*row["text"], "\n"])
        assert sum(part["bits"] for part in own) == pytest.approx(row["bits"], abs=1e-4)
        assert all(part["bits"] >= 0 for part in own)


def test_a_table_of_tokens_has_one_escaped_token_a_row(score, records):
    text = "a\\n\tb\0\rc\n"
    rows = [line.split("\t") for line in score(text, "--level", "token").split("\n")[:-1]]
    assert [row[2] for row in rows] == ["a", "\\\\", "n", "\\t", "b", "\\0", "\\r", "c", "\\n"]
    assert {row[1] for row in rows} == {"1"}
    parts = records(text, "--level", "token")
    assert [float(row[0]) for row in rows] == pytest.approx([part["bits"] for part in parts], abs=1e-4)


@pytest.mark.parametrize("which", ["lines_model", "labels_model", "model"])
def test_the_total_is_the_sum_of_the_lines(request, records, score, which):
    path = request.getfixturevalue(which)
    text = MIXED.replace("B\t", "Irish\t")
    rows, (total,) = records(text, model=path), records(text, "--level", "total", model=path)
    assert total["lines"] == len(rows)
    assert total["characters"] == total["tokens"] == sum(row["characters"] for row in rows)
    assert total["bits"] == pytest.approx(sum(row["bits"] for row in rows), abs=1e-4)
    assert total["bits_per_character"] == pytest.approx(total["bits"] / total["characters"])
    rate, bits, characters = score(text, "--level", "total", model=path).split("\t")
    assert (float(rate), float(bits), int(characters)) == pytest.approx(
        (total["bits_per_character"], total["bits"], total["characters"]), abs=1e-4)


@given(text=TEXT.filter(lambda text: text.removeprefix("\ufeff")))
@settings(deadline=None, max_examples=25)
def test_the_total_of_a_carried_text_equals_eval(model, text):
    carried = json.loads(run_in_process("score", "-m", model, "--level", "total", "--carry", "--jsonl",
                                        stdin=text.encode()).check().stdout)
    evaluated = json.loads(run_in_process("eval", "-m", model, "--jsonl", "-", stdin=text.encode()).check().stdout)
    assert (carried["characters"], carried["tokens"]) == (evaluated["characters"], evaluated["tokens"])
    assert carried["bits_per_character"] == pytest.approx(evaluated["bits_per_character"], abs=1e-5)


@given(text=TEXT)
@settings(deadline=None, max_examples=25)
def test_every_line_gets_one_record_with_its_number_of_characters(lines_model, text):
    lines = text.removeprefix("\ufeff").split("\n")
    lines = [line.removesuffix("\r") for line in (lines if lines[-1] or text == "\ufeff" else lines[:-1])]
    rows = run_in_process("score", "-m", lines_model, "--jsonl", stdin=text.encode()).check().records
    assert [row["text"] for row in rows] == lines
    assert [row["characters"] for row in rows] == [len(line) + 1 for line in lines]
    assert all(0 < row["bits"] < 1000 * row["characters"] for row in rows)


def test_carry_keeps_the_state_that_is_otherwise_reset_for_each_line(records, model):
    text = "10 green bottles\n" * 3
    cold, carried = records(text, model=model), records(text, "--carry", model=model)
    assert cold[0]["bits"] == cold[1]["bits"] == pytest.approx(carried[0]["bits"], abs=1e-4)
    assert abs(carried[1]["bits"] - carried[0]["bits"]) > 1e-3


def test_the_total_of_an_empty_text_is_zero(score, records):
    assert score("", "--level", "total") == "0.000000\t0.0000\t0\n"
    assert records("", "--level", "total")[0]["lines"] == 0


def test_a_line_without_a_label_is_scored_as_the_mixture_of_all_labels(records, labels_model):
    names = {"O'Banan": "Irish", "Lutsson": "Icelandic", "Fotñez": "Español"}
    model = load(str(labels_model))
    shares = [count / sum(model.labels.counts) for count in model.labels.counts]
    for name, own in names.items():
        given = [row["bits"] for row in records("".join(f"{label}\t{name}\n" for label in model.labels.names),
                                                model=labels_model)]
        free, = records(f"{name}\n", model=labels_model)
        mixed = -math.log2(sum(share * 2 ** -bits for share, bits in zip(shares, given, strict=True)))
        assert free["bits"] == pytest.approx(mixed, abs=1e-4)
        assert min(given) == given[model.labels.names.index(own)] and free["characters"] == len(name) + 1


def test_a_label_is_not_part_of_the_scored_text(records, labels_model, uniform):
    row, = records("Irish\tO'Banan\n", model=uniform(labels_model))
    assert row["characters"] == 8
    assert row["bits"] == pytest.approx(8 * math.log2(vocabulary_size_of(labels_model)), abs=1e-4)


def test_an_unknown_label_is_reported_and_the_other_lines_are_scored(labels_model):
    done = run_in_process("score", "-m", labels_model, stdin=b"Irish\tO'Ban\nirisch\tO'Banan\nBan\n")
    assert done.code == 4 and [bool(line) for line in done.stdout.split(b"\n")[:-1]] == [True, False, True]
    assert "line 2: no label 'irisch'; did you mean Irish" in done.stderr


def test_carry_is_for_running_text_only(lines_model):
    done = run_in_process("score", "-m", lines_model, "--carry", stdin=b"a\n")
    assert "--carry" in error_line(done, 2)


def test_a_line_that_is_not_utf8_gets_an_error_record_and_is_not_counted(lines_model, records):
    data = b"Ba\n\xff\nCo\n"
    done = run_in_process("score", "-m", lines_model, "--jsonl", stdin=data)
    rows = done.records
    assert rows[1] == {"line": 2, "error": "not UTF-8"} and [row["line"] for row in rows] == [1, 2, 3]
    tokens = run_in_process("score", "-m", lines_model, "--jsonl", "--level", "token", stdin=data).records
    assert tokens[3] == rows[1]
    total = json.loads(run_in_process("score", "-m", lines_model, "--jsonl", "--level", "total", stdin=data).stdout)
    assert total["lines"] == 2 and total["bits"] == pytest.approx(rows[0]["bits"] + rows[2]["bits"], abs=1e-4)


def test_certain_text_costs_no_bits(records, lines_model, tmp_path):
    model = load(str(lines_model))
    for values in model.weights.values():
        values[...] = 0
    letter, = model.tokenizer.encode("B")
    model.weights["head.bias"][letter] = 100
    save(str(tmp_path / "sure.charlm"), model)
    first, second, end = records("BB\n", "--level", "token", model=tmp_path / "sure.charlm")
    assert first["bits"] == second["bits"] == 0
    assert end["bits"] == pytest.approx(100 / math.log(2), abs=1e-3)


def test_more_adds_entropy_rank_and_probability_to_each_token(score, uniform, lines_model):
    size = vocabulary_size_of(lines_model)
    text = score("Ba\n", "--level", "token", "--more", model=uniform(lines_model))
    bits, odds = f"{math.log2(size):.4f}", f"{1 / size:.4g}"
    assert [line.split("\t") for line in text.splitlines()] == [
        [bits, "1", token, bits, "1", odds] for token in ("B", "a", "\\n")]


@pytest.mark.parametrize("flags", [(), ("--carry",)])
def test_words_are_the_tokens_between_white_space(records, model, flags):
    text = "one green\tbottle, señor;\n\n  and 日本\r\n"
    tokens, words = (records(text, "--level", *level, *flags, model=model)
                     for level in (("token", "--more"), ("word",)))
    assert [(word["line"], word["word"], word["start"]) for word in words] == [
        (1, "one", 0), (1, "green", 4), (1, "bottle,", 10), (1, "señor;", 18), (3, "and", 2), (3, "日本", 6)]
    for word in words:
        own = [token for token in tokens if token["line"] == word["line"]][word["start"]:word["end"]]
        assert "".join(token["text"] for token in own) == word["word"]
        assert word["bits"] == pytest.approx(sum(token["bits"] for token in own), abs=1e-4)
        assert word["entropy"] == pytest.approx(sum(token["entropy"] for token in own), abs=1e-4)
        assert word["ranks"] == [token["rank"] for token in own]


def test_a_row_of_a_word_has_the_fields_of_its_record(score, records):
    row = score("O'Banan x\n", "--level", "word").splitlines()[1].split("\t")
    record = records("O'Banan x\n", "--level", "word")[1]
    assert row == ["1", "x", "8", "9", f"{record['bits']:.4f}", f"{record['entropy']:.4f}", str(record["ranks"][0])]


def test_more_is_for_tokens_only(lines_model):
    assert "--more" in error_line(run_in_process("score", "-m", lines_model, "--more", stdin=b"a"), 2)
