"""`charlm sample` of models of lines: one line a sample, and only those that are wanted."""

import json
import re
from collections import Counter

import pytest

from charlm.errors import CharlmError, UsageError
from charlm.modelfile import load, save
from charlm.text.special_tokens import eos_id

LABELS = {"Español", "Icelandic", "Irish"}


@pytest.fixture
def sample(through, lines_model):
    """What `charlm sample` writes; seeded unless told otherwise."""
    def run(*flags, model=lines_model, seed=5):
        return through(b"", "sample", "-m", model, "--seed", seed, *flags).decode()
    return run


@pytest.fixture
def lines(sample):
    def run(*flags, **more):
        *found, last = sample(*flags, **more).split("\n")
        assert last == ""
        return found
    return run


@pytest.fixture
def records(sample):
    def run(*flags, **more):
        return [json.loads(row) for row in sample("--jsonl", *flags, **more).split("\n")[:-1]]
    return run


@pytest.fixture
def parrot(lines_model, tmp_path):
    """A model that writes `B` or an end, one as likely as the other."""
    model = load(str(lines_model))
    for values in model.weights.values():
        values[...] = 0
    letter, = model.tokenizer.encode("B")
    model.weights["head.bias"][[letter, eos_id(model.tokenizer)]] = 100
    save(str(tmp_path / "parrot.charlm"), model)
    return tmp_path / "parrot.charlm"


def test_as_many_lines_come_as_are_asked_for(lines):
    assert [len(lines("-N", count)) for count in (0, 1, 2, 70, 1500)] == [0, 1, 2, 70, 1500]
    assert len(lines()) == 1


def test_lines_are_drawn_from_the_model(lines, parrot):
    counts = Counter(map(len, lines("-N", 4000, model=parrot)))
    for length in range(4):             # as a coin falls heads so many times, then tails
        assert counts[length] / 4000 == pytest.approx(0.5 ** (length + 1), abs=0.03)


def test_the_first_ten_of_300_are_those_of_10_and_of_one(lines, labels_model):
    for more in ({}, {"model": labels_model}):
        many = lines("-N", 300, **more)
        assert lines("-N", 10, **more) == many[:10] and lines(**more) == many[:1]
        assert len(set(many)) > 100


@pytest.mark.parametrize("flags", [["--unique"], ["--novel"], ["--match", "an"], ["--unique", "--novel", "--match", "[bB]"]])
def test_the_first_wanted_lines_are_the_same_however_many_are_wanted(lines, flags):
    assert lines("-N", 10, *flags) == lines("-N", 60, *flags)[:10]


def test_a_seed_repeats_lines_and_another_does_not(sample):
    assert sample("-N", 5, seed=1) == sample("-N", 5, seed=1) != sample("-N", 5, seed=2)


def test_unique_lines_are_those_drawn_without_the_repeated_ones(lines, parrot):
    drawn = lines("-N", 200, model=parrot)
    first = [*dict.fromkeys(drawn)]
    assert len(first) < 200
    assert lines("-N", len(first), "--unique", model=parrot) == first


def test_matching_lines_are_those_drawn_in_which_the_expression_is_found(lines):
    drawn = [line for line in lines("-N", 400) if re.search("s+o|^O'.*y$", line)]
    assert lines("-N", 5, "--match", "s+o|^O'.*y$") == drawn[:5] and len(drawn) > 5


def test_novel_lines_are_those_drawn_that_the_training_text_has_not(lines, names):
    known = {*names.read_text(encoding="utf-8").splitlines()}
    drawn = lines("-N", 3000, "--prefix", "O'", "--temp", 0.2)
    new = [line for line in drawn if line not in known]
    assert known & {*drawn} and len(new) > 100
    assert lines("-N", 100, "--prefix", "O'", "--temp", 0.2, "--novel") == new[:100]


def test_a_line_begins_with_the_prefix_which_is_no_part_of_what_is_new(lines, records):
    found = lines("-N", 20, "--prefix", "O'")
    assert all(line.startswith("O'") for line in found) and len(set(found)) > 5
    assert lines("-N", 20, "-p", "O'") == found
    assert lines("-N", 20, "-p", "O'", "--no-echo") == [line.removeprefix("O'") for line in found]
    rows = records("-N", 20, "-p", "O'")
    assert [row["prompt"] + row["text"] for row in rows] == found
    assert lines("-N", 20, "-p", "O'", "--match", "^O'") == found


def test_a_prefix_may_come_from_a_file_or_stdin_with_its_line_break(through, lines, lines_model, tmp_path):
    (tmp_path / "prefix").write_bytes(b"O'\n")
    expected = lines("-N", 3, "-p", "O'")
    assert lines("-N", 3, "-f", tmp_path / "prefix") == expected
    assert through(b"O'", "sample", "-m", lines_model, "-N", 3, "--seed", 5, "-f", "-").decode().splitlines() == expected


def test_a_prefix_of_unknown_characters_is_warned_about_and_works(piped, lines_model):
    done = piped(b"", "sample", "-m", lines_model, "--seed", 1, "-p", "日本")
    assert done.returncode == 0 and done.stdout.decode().startswith("日本")
    assert done.stderr == b"charlm: warning: 2 characters of the prompt are unknown to the model\n"


def test_records_carry_number_seed_prompt_and_text(records, lines):
    rows = records("-N", 3)
    assert [{**row, "text": ""} for row in rows] == [
        {"sample": number, "seed": 5, "prompt": "", "text": ""} for number in range(3)]
    assert [row["text"] for row in rows] == lines("-N", 3)


def test_the_number_of_a_wanted_line_is_its_number_among_all_drawn(records, lines):
    drawn = lines("-N", 400)
    rows = records("-N", 5, "--match", "so")
    assert [drawn[row["sample"]] for row in rows] == [row["text"] for row in rows]
    assert rows[-1]["sample"] > 4


def test_lines_of_a_label_are_told_to_be_of_it_more_often_than_those_of_others(lines, labels_model, through):
    told = {}
    for label in LABELS:
        found = lines("-N", 200, "--label", label, "--temp", 0.5, model=labels_model)
        answers = through("".join(f"{line}\n" for line in found).encode(), "classify", "-m", labels_model, "--uniform-prior")
        told[label] = Counter(row.split("\t")[0] for row in answers.decode().splitlines())
    for label in LABELS:
        assert max(LABELS, key=lambda own: told[own][label]) == label


def test_without_a_label_each_line_stands_behind_its_own_as_frequent_as_in_training(lines, labels_model, uniform):
    rows = [line.split("\t") for line in lines("-N", 2000, "-n", 1, model=uniform(labels_model))]
    assert all(len(row) == 2 for row in rows)
    shares = Counter(label for label, _ in rows)
    assert {label: count / 2000 for label, count in shares.items()} == pytest.approx(
        {"Irish": 0.5, "Icelandic": 0.25, "Español": 0.25}, abs=0.04)


def test_records_of_labelled_lines_carry_their_label(records, lines, labels_model):
    rows = records("-N", 20, model=labels_model)
    assert [f"{row['label']}\t{row['text']}" for row in rows] == lines("-N", 20, model=labels_model)
    assert {row["label"] for row in records("-N", 3, "--label", "Irish", model=labels_model)} == {"Irish"}


def test_a_line_is_no_longer_than_told_and_ends_before_a_stop_text(lines, parrot):
    assert max(map(len, lines("-N", 200, "-n", 3, model=parrot))) == 3
    free = lines("-N", 50)
    assert lines("-N", 50, "--stop", "o", "--stop", "n") == [re.split("[on]", line)[0] for line in free]
    assert lines("-N", 50, "-n", 2) == [line[:2] for line in free]


def test_temperature_zero_is_greedy(lines):
    assert len(set(lines("-N", 20, "--temp", 0))) == 1
    assert lines("--temp", 0, seed=1) == lines("--top-k", 1, seed=2)


def test_no_seed_is_told_where_nothing_is_drawn_and_a_drawn_one_repeats_the_lines(piped, lines, lines_model, labels_model):
    for model, flags in ((lines_model, ["--temp", 0]), (lines_model, ["-N", 0]), (lines_model, ["-n", 0]),
                         (labels_model, ["--temp", 0, "--label", "Irish"])):
        assert piped(b"", "sample", "-m", model, *flags).stderr == b""
    for model, flags in ((lines_model, ["-N", 3]), (labels_model, ["-N", 3, "--temp", 0])):
        done = piped(b"", "sample", "-m", model, *flags)
        seed = re.fullmatch(r"charlm: seed (\d+)\n", done.stderr.decode())[1]
        assert lines(*flags, model=model, seed=seed) == done.stdout.decode().splitlines()


def test_a_line_never_holds_a_line_break_or_an_id_that_no_text_has(lines, lines_model, labels_model, tmp_path):
    for path in (lines_model, labels_model):
        model = load(str(path))
        model.weights["head.bias"][[0, *model.tokenizer.encode("\n"), *range(model.tokenizer.size + 1, model.config.vocabulary_size)]] = 99
        save(str(tmp_path / "m.charlm"), model)
        found = lines("-N", 50, model=tmp_path / "m.charlm")
        assert len(found) == 50 and "\ufffd" not in "".join(found)


@pytest.mark.parametrize("flags, found, tried", [
    (["-N", 5, "--match", "qqq", "--tries", 70], 0, 70), (["-N", 9, "--tries", 4], 4, 4),
    (["-N", 2, "--unique", "--temp", 0, "--tries", 1], 1, 1), (["-N", 2, "--unique", "--temp", 0], 1, 1)])
def test_what_cannot_be_found_is_said_with_the_tries_and_the_code_is_1(piped, lines_model, flags, found, tried):
    done = piped(b"", "sample", "-m", lines_model, "--seed", 5, *flags)
    assert (done.returncode, done.stdout.count(b"\n")) == (1, found)
    message = done.stderr.decode()
    assert message.startswith(f"charlm: error: found {found} of {flags[1]} lines among {tried} drawn;")
    assert "--tries" in message and message.count("\n") == 1


@pytest.mark.parametrize("flags", [(), ("--unique",), ("-p", "Ba")])
def test_no_tokens_are_no_text(piped, lines_model, flags):
    done = piped(b"", "sample", "-m", lines_model, "-N", 3, "-n", 0, *flags)
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize("flags", [("--unique",), ("--novel",), ("--match", "a")])
def test_what_a_stop_text_leaves_is_what_is_wanted(lines, names, flags):
    drawn = lines("-N", 60, "--stop", "a", "--tries", 3000, *flags) if flags != ("--match", "a") else \
        lines("-N", 60, "--stop", "e", "--tries", 3000, *flags)
    assert len(set(drawn)) == len(drawn) or "--unique" not in flags
    assert not set(drawn) & set(names.read_text(encoding="utf-8").split("\n")) or "--novel" not in flags
    assert all("a" in line for line in drawn) or "--match" not in flags


def test_those_found_are_written_before_giving_up(piped, lines_model, lines):
    drawn = lines("-N", 100)
    wanted = [line for line in drawn if "z" in line]
    done = piped(b"", "sample", "-m", lines_model, "--seed", 5, "-N", 100, "--match", "z", "--tries", 100)
    assert done.returncode == 1
    assert done.stdout.decode().splitlines() == wanted and 0 < len(wanted) < 100


def test_without_tries_ten_thousand_lines_are_drawn_before_giving_up(sample, parrot):
    with pytest.raises(CharlmError, match="found 1 of 2 lines among 10000 drawn"):
        sample("-N", 2, "--match", "^B{3}$", "--unique", model=parrot)


@pytest.mark.parametrize("flags, said", [
    (["--match", "("], "--match"), (["--match", "*a"], "--match"), (["--label", "Irish"], "no labels"),
    (["--tries", "0"], "--tries"), (["-p", "a\nb"], "line break"), (["-p", "a", "-f", "b"], "not both"),
    (["--temp", "nan"], "--temp")])
def test_flags_that_cannot_work_are_wrong_usage_in_one_line(piped, refusal, lines_model, flags, said):
    done = piped(b"", "sample", "-m", lines_model, "--seed", 1, *flags)
    assert done.returncode == 2
    assert said in refusal(done)


@pytest.mark.parametrize("flags", [["--label", "Irish"], ["--unique"], ["--novel"], ["--match", "a"], ["--tries", "9"]])
def test_what_only_lines_have_is_wrong_usage_for_running_text(piped, refusal, model, flags):
    done = piped(b"", "sample", "-m", model, "--seed", 1, *flags)
    assert done.returncode == 2
    assert f"{flags[0]} is for models of lines; train one with --lines or --labels" in refusal(done)


@pytest.mark.parametrize("wrong, right", [
    ("irish", "did you mean Irish?"), ("Espanol", "did you mean Español?"), ("Icelandc", "did you mean Icelandic?"),
    ("Xhosa", "there are Español, Icelandic, Irish")])
def test_an_unknown_label_is_wrong_usage_and_the_nearest_are_named(piped, refusal, labels_model, wrong, right):
    done = piped(b"", "sample", "-m", labels_model, "--label", wrong)
    assert done.returncode == 2
    assert f"no label '{wrong}'; {right}" in refusal(done)


def test_an_expression_is_refused_before_anything_is_drawn(sample):
    with pytest.raises(UsageError, match="no regular expression"):
        sample("-N", 0, "--match", "[")
