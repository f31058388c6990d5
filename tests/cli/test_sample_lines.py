"""`charlm sample` of models of lines: one line a sample, filtered by the flags."""

import json
import re
from collections import Counter

import pytest

from charlm.modelfile import load, save
from charlm.text.special_tokens import eos_id
from tests.helpers.runners import error_line, run_in_process
from tests.helpers.texts import LABELS, as_lines


@pytest.fixture
def sample(lines_model):
    """Return a function from flags to the text that `charlm sample` writes; the seed is 5 by default."""
    def run(*flags, model=lines_model, seed=5):
        return run_in_process("sample", "-m", model, "--seed", seed, *flags).check().text
    return run


@pytest.fixture
def lines(sample):
    """Return a function from flags to the sampled lines."""
    def run(*flags, **more):
        *found, last = sample(*flags, **more).split("\n")
        assert last == ""
        return found
    return run


@pytest.fixture
def records(sample):
    """Return a function from flags to the JSON records of the sampled lines."""
    def run(*flags, **more):
        return [json.loads(row) for row in sample("--jsonl", *flags, **more).split("\n")[:-1]]
    return run


@pytest.fixture
def parrot(lines_model, tmp_path):
    """A model that writes `B` or ends the line, with equal probability."""
    model = load(str(lines_model))
    for values in model.weights.values():
        values[...] = 0
    letter, = model.tokenizer.encode("B")
    model.weights["head.bias"][[letter, eos_id(model.tokenizer)]] = 100
    save(str(tmp_path / "parrot.charlm"), model)
    return tmp_path / "parrot.charlm"


def test_the_requested_number_of_lines_is_written(lines):
    assert [len(lines("-N", count)) for count in (0, 1, 2, 70, 1500)] == [0, 1, 2, 70, 1500]
    assert len(lines()) == 1


def test_lines_follow_the_distribution_of_the_model(lines, parrot):
    counts = Counter(map(len, lines("-N", 4000, model=parrot)))
    for length in range(4):             # a geometric distribution, as of heads before the first tails
        assert counts[length] / 4000 == pytest.approx(0.5 ** (length + 1), abs=0.03)


def test_the_first_ten_of_300_lines_are_those_of_ten_and_of_one(lines, labels_model):
    for more in ({}, {"model": labels_model}):
        many = lines("-N", 300, **more)
        assert lines("-N", 10, **more) == many[:10] and lines(**more) == many[:1]
        assert len(set(many)) > 100


@pytest.mark.parametrize("flags", [["--unique"], ["--novel"], ["--match", "an"],
                                   ["--unique", "--novel", "--match", "[bB]"]])
def test_the_first_lines_found_do_not_depend_on_how_many_are_requested(lines, flags):
    assert lines("-N", 10, *flags) == lines("-N", 60, *flags)[:10]


def test_a_seed_repeats_lines_and_another_does_not(sample):
    assert sample("-N", 5, seed=1) == sample("-N", 5, seed=1) != sample("-N", 5, seed=2)


def test_unique_lines_are_the_sampled_ones_without_repetitions(lines, parrot):
    drawn = lines("-N", 200, model=parrot)
    first = [*dict.fromkeys(drawn)]
    assert len(first) < 200
    assert lines("-N", len(first), "--unique", model=parrot) == first


def test_matching_lines_are_the_sampled_ones_that_match(lines):
    drawn = [line for line in lines("-N", 400) if re.search("s+o|^O'.*y$", line)]
    assert lines("-N", 5, "--match", "s+o|^O'.*y$") == drawn[:5] and len(drawn) > 5


def test_novel_lines_are_the_sampled_ones_not_in_the_training_text(lines, names):
    known = {*names.read_text(encoding="utf-8").splitlines()}
    drawn = lines("-N", 3000, "--prefix", "O'", "--temp", 0.2)
    new = [line for line in drawn if line not in known]
    assert known & {*drawn} and len(new) > 100
    assert lines("-N", 100, "--prefix", "O'", "--temp", 0.2, "--novel") == new[:100]


def test_a_line_begins_with_the_prompt_which_is_not_part_of_the_new_text(lines, records):
    found = lines("-N", 20, "--prefix", "O'")
    assert all(line.startswith("O'") for line in found) and len(set(found)) > 5
    assert lines("-N", 20, "-p", "O'") == found
    assert lines("-N", 20, "-p", "O'", "--no-echo") == [line.removeprefix("O'") for line in found]
    rows = records("-N", 20, "-p", "O'")
    assert [row["prompt"] + row["text"] for row in rows] == found
    assert lines("-N", 20, "-p", "O'", "--match", "^O'") == found


def test_a_prompt_from_a_file_or_stdin_may_end_with_a_newline(lines, lines_model, tmp_path):
    (tmp_path / "prefix").write_bytes(b"O'\n")
    expected = lines("-N", 3, "-p", "O'")
    assert lines("-N", 3, "-f", tmp_path / "prefix") == expected
    done = run_in_process("sample", "-m", lines_model, "-N", 3, "--seed", 5, "-f", "-", stdin=b"O'")
    assert done.check().text.splitlines() == expected


def test_a_prompt_of_unknown_characters_is_warned_about_and_works(lines_model):
    done = run_in_process("sample", "-m", lines_model, "--seed", 1, "-p", "日本")
    assert done.code == 0 and done.text.startswith("日本")
    assert done.stderr == "charlm: warning: 2 characters of the prompt are unknown to the model: 日 本\n"


def test_records_hold_number_seed_prompt_and_text(records, lines):
    rows = records("-N", 3)
    assert [{**row, "text": "", "bits_per_character": 1} for row in rows] == [
        {"sample": number, "seed": 5, "prompt": "", "text": "", "bits_per_character": 1} for number in range(3)]
    assert [row["text"] for row in rows] == lines("-N", 3)


def test_the_number_of_a_line_found_is_its_index_among_all_sampled(records, lines):
    drawn = lines("-N", 400)
    rows = records("-N", 5, "--match", "so")
    assert [drawn[row["sample"]] for row in rows] == [row["text"] for row in rows]
    assert rows[-1]["sample"] > 4


def test_lines_of_a_label_are_classified_as_it_more_often_than_others(lines, labels_model):
    answers_by_label = {}
    for label in LABELS:
        found = lines("-N", 200, "--label", label, "--temp", 0.5, model=labels_model)
        answers = run_in_process("classify", "-m", labels_model, "--uniform-prior",
                                 stdin=as_lines(found).encode()).check().stdout
        answers_by_label[label] = Counter(row.split("\t")[0] for row in answers.decode().splitlines())
    for label in LABELS:
        assert max(LABELS, key=lambda own: answers_by_label[own][label]) == label


def test_without_a_label_lines_have_labels_with_the_training_frequencies(lines, labels_model, uniform):
    rows = [line.split("\t") for line in lines("-N", 2000, "-n", 1, model=uniform(labels_model))]
    assert all(len(row) == 2 for row in rows)
    shares = Counter(label for label, _ in rows)
    assert {label: count / 2000 for label, count in shares.items()} == pytest.approx(
        {"Irish": 0.5, "Icelandic": 0.25, "Español": 0.25}, abs=0.04)


def test_records_of_labelled_lines_hold_their_label(records, lines, labels_model):
    rows = records("-N", 20, model=labels_model)
    assert [f"{row['label']}\t{row['text']}" for row in rows] == lines("-N", 20, model=labels_model)
    assert {row["label"] for row in records("-N", 3, "--label", "Irish", model=labels_model)} == {"Irish"}


def test_a_line_has_at_most_the_given_length_and_ends_before_a_stop_text(lines, parrot):
    assert max(map(len, lines("-N", 200, "-n", 3, model=parrot))) == 3
    free = lines("-N", 50)
    assert lines("-N", 50, "--stop", "o", "--stop", "n") == [re.split("[on]", line)[0] for line in free]
    assert lines("-N", 50, "-n", 2) == [line[:2] for line in free]


def test_temperature_zero_is_greedy(lines):
    assert len(set(lines("-N", 20, "--temp", 0))) == 1
    assert lines("--temp", 0, seed=1) == lines("--top-k", 1, seed=2)


def test_a_random_seed_repeats_the_lines_and_greedy_lines_print_none(lines, lines_model, labels_model):
    for model, flags in ((lines_model, ["--temp", 0]), (lines_model, ["-N", 0]), (lines_model, ["-n", 0]),
                         (labels_model, ["--temp", 0, "--label", "Irish"])):
        assert run_in_process("sample", "-m", model, *flags).stderr == ""
    for model, flags in ((lines_model, ["-N", 3]), (labels_model, ["-N", 3, "--temp", 0])):
        done = run_in_process("sample", "-m", model, *flags)
        seed = re.fullmatch(r"charlm: seed (\d+)\n", done.stderr)[1]
        assert lines(*flags, model=model, seed=seed) == done.text.splitlines()


def test_a_line_never_holds_a_newline_or_an_id_that_no_text_has(lines, lines_model, labels_model, tmp_path):
    for path in (lines_model, labels_model):
        model = load(str(path))
        labels = range(model.tokenizer.size + 1, model.config.vocabulary_size)
        model.weights["head.bias"][[0, *model.tokenizer.encode("\n"), *labels]] = 99
        save(str(tmp_path / "m.charlm"), model)
        found = lines("-N", 50, model=tmp_path / "m.charlm")
        assert len(found) == 50 and "\ufffd" not in "".join(found)


@pytest.mark.parametrize("flags, found, tried", [
    (["-N", 5, "--match", "qqq", "--tries", 70], 0, 70), (["-N", 9, "--tries", 4], 4, 4),
    (["-N", 2, "--unique", "--temp", 0, "--tries", 1], 1, 1), (["-N", 2, "--unique", "--temp", 0], 1, 1)])
def test_too_few_lines_found_is_reported_with_the_tries_and_exits_with_1(lines_model, flags, found, tried):
    done = run_in_process("sample", "-m", lines_model, "--seed", 5, *flags)
    assert (done.code, done.stdout.count(b"\n")) == (1, found)
    message = done.stderr
    assert message.startswith(f"charlm: error: found {found} of {flags[1]} lines among {tried} drawn;")
    assert "--tries" in message and message.count("\n") == 1


@pytest.mark.parametrize("flags", [(), ("--unique",), ("-p", "Ba")])
def test_a_length_of_zero_gives_no_text(lines_model, flags):
    done = run_in_process("sample", "-m", lines_model, "-N", 3, "-n", 0, *flags)
    assert (done.code, done.stdout) == (0, b"")


@pytest.mark.parametrize("flags", [("--unique",), ("--novel",), ("--match", "a")])
def test_filters_apply_to_the_text_before_the_stop_text(lines, names, flags):
    drawn = lines("-N", 60, "--stop", "a", "--tries", 3000, *flags) if flags != ("--match", "a") else \
        lines("-N", 60, "--stop", "e", "--tries", 3000, *flags)
    assert len(set(drawn)) == len(drawn) or "--unique" not in flags
    assert not set(drawn) & set(names.read_text(encoding="utf-8").splitlines()) or "--novel" not in flags
    assert all("a" in line for line in drawn) or "--match" not in flags


def test_lines_found_are_written_before_giving_up(lines_model, lines):
    drawn = lines("-N", 100)
    expected = [line for line in drawn if "z" in line]
    done = run_in_process("sample", "-m", lines_model, "--seed", 5, "-N", 100, "--match", "z", "--tries", 100)
    assert done.code == 1
    assert done.text.splitlines() == expected and 0 < len(expected) < 100


def test_ten_thousand_lines_are_sampled_before_giving_up_by_default(parrot):
    done = run_in_process("sample", "-m", parrot, "--seed", 5, "-N", 2, "--match", "^B{3}$", "--unique")
    assert done.code == 1 and "found 1 of 2 lines among 10000 drawn" in done.stderr


@pytest.mark.parametrize("flags, message", [
    (["--match", "("], "--match"), (["--match", "*a"], "--match"), (["--label", "Irish"], "no labels"),
    (["--tries", "0"], "--tries"), (["-p", "a\nb"], "line break"), (["-p", "a", "-f", "b"], "not both"),
    (["--temp", "nan"], "--temp")])
def test_invalid_flag_values_are_usage_errors_in_one_line(lines_model, flags, message):
    done = run_in_process("sample", "-m", lines_model, "--seed", 1, *flags)
    assert message in error_line(done, 2)


@pytest.mark.parametrize("flags", [["--label", "Irish"], ["--unique"], ["--novel"], ["--match", "a"], ["--tries", "9"]])
def test_flags_of_lines_are_usage_errors_for_running_text(model, flags):
    done = run_in_process("sample", "-m", model, "--seed", 1, *flags)
    assert f"{flags[0]} is for models of lines; train one with --lines or --labels" in error_line(done, 2)


@pytest.mark.parametrize("wrong, right", [
    ("irish", "did you mean Irish?"), ("Espanol", "did you mean Español?"), ("Icelandc", "did you mean Icelandic?"),
    ("Xhosa", "there are Español, Icelandic, Irish")])
def test_an_unknown_label_is_a_usage_error_that_suggests_the_nearest(labels_model, wrong, right):
    done = run_in_process("sample", "-m", labels_model, "--label", wrong)
    assert f"no label '{wrong}'; {right}" in error_line(done, 2)


def test_an_invalid_expression_is_refused_before_anything_is_sampled(lines_model):
    done = run_in_process("sample", "-m", lines_model, "-N", 0, "--match", "[")
    assert "not a regular expression" in error_line(done, 2)
