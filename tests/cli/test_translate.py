"""`charlm translate`: targets for sources. What it shares with other filters is in test_line_reader.py."""

import json

import numpy as np
import pytest

from charlm.modelfile import load, save
from tests.helpers.runners import run_in_process

MIXED = ["a", "béa", "abab", "éé", "b" * 30, "ba" * 20, "éba", "", "ab"]


@pytest.fixture
def translate(pairs_model):
    """What `charlm translate` writes for these sources, and nothing on stderr."""
    def run(sources, *flags, model=pairs_model):
        done = run_in_process("translate", "-m", model, *flags, stdin=as_lines(sources).encode())
        assert (done.code, done.stderr) == (0, b"")
        return done.text
    return run


@pytest.fixture
def records(translate):
    def run(sources, *flags):
        return [json.loads(line) for line in translate(sources, *flags, "--jsonl").splitlines()]
    return run


def test_the_model_of_these_tests_writes_different_targets_for_different_sources(translate):
    sources = ["a", "bb", "ab", "béa", "éé"]
    assert len(set(translate(sources).splitlines())) == len(sources)


def test_3000_lines_of_mixed_length_are_answered_in_order(translate):
    alone = {source: translate([source], "--beam", 1) for source in MIXED}
    assert len(set(alone.values())) > 6
    chance = np.random.default_rng(0)
    sources = [MIXED[number] for number in chance.integers(0, len(MIXED), 3000)]
    assert translate(sources, "--beam", 1) == "".join(alone[source] for source in sources)


def test_crlf_is_a_line_break_and_no_part_of_a_source(translate, pairs_model):
    done = run_in_process("translate", "-m", pairs_model, stdin="a\r\nbéa\r\n\r\n".encode())
    assert (done.text, done.stderr) == (translate(["a", "béa", ""]), b"")


def test_records_hold_line_source_and_the_plain_answer_first(records, translate):
    found = records(MIXED)
    assert [record["line"] for record in found] == [*range(1, len(MIXED) + 1)]
    assert [record["source"] for record in found] == MIXED
    best = [record["targets"][0]["text"] if record["targets"] else "" for record in found]
    assert "".join(f"{text}\n" for text in best) == translate(MIXED)
    assert [len(record["targets"]) for record in found] == [int(source != "") for source in MIXED]


def test_an_n_best_table_is_what_the_records_say_best_first(records, translate):
    rows = [tuple(line.split("\t")) for line in translate(MIXED, "--n-best", 3).splitlines()]
    expected = []
    for record in records(MIXED, "--n-best", 3):
        targets = record["targets"]
        assert len(targets) == (3 if record["source"] else 0)
        assert len({target["text"] for target in targets}) == len(targets)
        assert [target["score"] for target in targets] == sorted((t["score"] for t in targets), reverse=True)
        expected += [(record["source"], target["text"], f"{target['score']:.4f}") for target in targets] or [("",)]
    assert [row[:2] for row in rows] == [row[:2] for row in expected]
    assert [float(row[2]) for row in rows if row[2:]] == pytest.approx(
        [float(row[2]) for row in expected if row[2:]], abs=2e-4)


def test_the_first_of_n_best_is_the_plain_answer(translate):
    table = [line.split("\t")[1] for line in translate(["a", "béa"], "--n-best", 5).splitlines()]
    assert table[::5] == translate(["a", "béa"]).splitlines()


def test_a_score_is_the_log_probability_over_the_length_to_the_penalty(records):
    for penalty in (0.0, 0.5, 1.0):
        for target in records(["béa"], "--n-best", 5, "--length-penalty", penalty)[0]["targets"]:
            length = len(target["text"]) + target["finished"]           # the end is a token
            assert target["score"] == pytest.approx(target["log_probability"] / length ** penalty, abs=1e-5)


def test_no_length_penalty_ranks_by_probability_and_a_high_one_favours_long_targets(records):
    short, long = (records(["abab"], "--n-best", 5, "--length-penalty", penalty)[0]["targets"] for penalty in (0, 5))
    chances = [target["log_probability"] for target in short]
    assert chances == sorted(chances, reverse=True)
    assert len(long[0]["text"]) > len(short[0]["text"])


def test_a_wide_beam_finds_no_less_likely_target_than_a_greedy_search(records):
    sources = [source for source in MIXED if source]
    greedy, wide = (records(sources, "--beam", beam, "--length-penalty", 0) for beam in (1, 40))
    gains = [two["targets"][0]["log_probability"] - one["targets"][0]["log_probability"]
             for one, two in zip(greedy, wide)]
    assert min(gains) > -1e-5 and max(gains) > 0.01


def test_unknown_characters_are_answered_with_a_warning_that_names_the_line(pairs_model):
    done = run_in_process("translate", "-m", pairs_model, stdin="ab\na☃b\n日本\nab\n".encode())
    answers = done.text.splitlines()
    assert (done.code, len(answers)) == (0, 4)
    assert answers[0] == answers[3] and all(answers)
    what = "characters that no source in the training data has"
    assert done.stderr.splitlines() == [f"charlm: line 2 has {what}", f"charlm: 2 lines have {what}"]


def test_a_whole_pair_is_answered_with_a_warning_that_names_the_line(pairs_model):
    done = run_in_process("translate", "-m", pairs_model, stdin=b"ab\nab\tcd\n")
    assert done.stdout.count(b"\n") == 2 and b"\t" not in done.stdout
    assert done.stderr.startswith("charlm: line 2 has a tab;") and done.stderr.count(b"\n") == 1


def test_a_byte_order_mark_is_no_part_of_the_first_source(pairs_model):
    marked, plain = (run_in_process("translate", "-m", pairs_model, stdin=text.encode()) for text in ("\ufeffab\n", "ab\n"))
    assert (marked.stdout, marked.stderr) == (plain.stdout, b"")


def test_a_source_of_5000_characters_is_answered_between_its_neighbours(translate, tmp_path, pairs_model):
    # A model that finds no end writes up to a limit of thousands of tokens; this one ends soon.
    model = load(str(pairs_model))
    model.weights["head.bias"][model.tokenizer.size] += 4
    save(str(tmp_path / "brief.charlm"), model)
    neighbours = translate(["a", "béa"], model=tmp_path / "brief.charlm").splitlines()
    whole = translate(["a", "abé" * 1666 + "ab", "béa"], model=tmp_path / "brief.charlm").splitlines()
    assert len(whole) == 3 and whole[::2] == neighbours


def test_a_target_without_an_end_is_cut_off_and_told_of(pairs_model, tmp_path):
    model = load(str(pairs_model))
    model.weights["head.bias"][model.tokenizer.size] = -1000        # of the end
    save(str(tmp_path / "endless.charlm"), model)
    done = run_in_process("translate", "-m", tmp_path / "endless.charlm", "--beam", 1, stdin=b"\nab\n")
    assert done.code == 0
    assert done.stderr == "charlm: line 2 has a target that was cut off at the length limit\n"
    empty, answer = done.text.splitlines()
    assert empty == "" and 2 < len(answer) < 100            # longer than its target, but not without end


@pytest.mark.parametrize("tokenizer", ["byte", "bpe", "unigram"])
def test_a_target_is_one_line_whatever_a_token_is(lexicon, tmp_path, tokenizer):
    path = str(tmp_path / "m.charlm")
    run_in_process("train", lexicon, "-o", path, "--hidden", 8, "--layers", 1, "--steps", 1, "--quiet", "--tokenizer", tokenizer).check()
    model = load(path)
    for token in range(model.tokenizer.size):
        if "\n" in "".join(model.tokenizer.decoder().push([token])):
            model.weights["head.bias"][token] = 10
    save(path, model)
    done = run_in_process("translate", "-m", path, "--beam", 1, stdin=b"a\nab\n")
    assert (done.code, len(done.text.splitlines())) == (0, 2)
