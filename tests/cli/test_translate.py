"""`charlm translate`: targets for sources.

Not here: the behaviour that it shares with other filters (test_line_reader.py).
"""

import json

import numpy as np
import pytest

from charlm.modelfile import load, save
from tests.helpers.runners import error_line, run_in_process
from tests.helpers.texts import BRIEF, as_lines

MIXED = ["a", "béa", "abab", "éé", "b" * 30, "ba" * 20, "éba", "", "ab"]


@pytest.fixture
def translate(pairs_model):
    """Return a function from sources to what `charlm translate` writes for them; it must print nothing on stderr."""
    def run(sources, *flags, model=pairs_model):
        done = run_in_process("translate", "-m", model, *flags, stdin=as_lines(sources).encode())
        assert (done.code, done.stderr) == (0, "")
        return done.text
    return run


@pytest.fixture
def records(translate):
    """Return a function from sources to their JSON records."""
    def run(sources, *flags):
        return [json.loads(line) for line in translate(sources, *flags, "--jsonl").splitlines()]
    return run


def test_different_sources_get_different_targets(translate):
    sources = ["a", "bb", "ab", "béa", "éé"]
    assert len(set(translate(sources).splitlines())) == len(sources)


def test_3000_lines_of_mixed_length_are_translated_in_order(translate):
    alone = {source: translate([source], "--beam", 1) for source in MIXED}
    assert len(set(alone.values())) > 6
    rng = np.random.default_rng(0)
    sources = [MIXED[number] for number in rng.integers(0, len(MIXED), 3000)]
    assert translate(sources, "--beam", 1) == "".join(alone[source] for source in sources)


def test_crlf_is_a_line_break_and_not_part_of_a_source(translate, pairs_model):
    done = run_in_process("translate", "-m", pairs_model, stdin="a\r\nbéa\r\n\r\n".encode())
    assert (done.text, done.stderr) == (translate(["a", "béa", ""]), "")


def test_records_hold_line_and_source_and_the_plain_answer_first(records, translate):
    found = records(MIXED)
    assert [record["line"] for record in found] == [*range(1, len(MIXED) + 1)]
    assert [record["source"] for record in found] == MIXED
    best = [record["targets"][0]["text"] if record["targets"] else "" for record in found]
    assert "".join(f"{text}\n" for text in best) == translate(MIXED)
    assert [len(record["targets"]) for record in found] == [int(source != "") for source in MIXED]


def test_an_n_best_table_has_the_targets_of_the_records_best_first(records, translate):
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
            length = len(target["text"]) + target["finished"]           # the end counts as a token
            assert target["score"] == pytest.approx(target["log_probability"] / length ** penalty, abs=1e-5)


def test_a_high_length_penalty_favours_long_targets_and_none_does_not(records):
    short, long = (records(["abab"], "--n-best", 5, "--length-penalty", penalty)[0]["targets"] for penalty in (0, 5))
    probabilities = [target["log_probability"] for target in short]
    assert probabilities == sorted(probabilities, reverse=True)
    assert len(long[0]["text"]) > len(short[0]["text"])


def test_a_wide_beam_finds_no_less_likely_target_than_a_greedy_search(records):
    sources = [source for source in MIXED if source]
    greedy, wide = (records(sources, "--beam", beam, "--length-penalty", 0) for beam in (1, 40))
    gains = [two["targets"][0]["log_probability"] - one["targets"][0]["log_probability"]
             for one, two in zip(greedy, wide, strict=True)]
    assert min(gains) > -1e-5 and max(gains) > 0.01


def test_unknown_characters_are_translated_with_a_warning_for_the_line(pairs_model):
    done = run_in_process("translate", "-m", pairs_model, stdin="ab\na☃b\n日本\nab\n".encode())
    answers = done.text.splitlines()
    assert (done.code, len(answers)) == (0, 4)
    assert answers[0] == answers[3] and answers[1] and not answers[2]      # nothing is known of line 3
    what = "characters that no source in the training data has"
    assert done.stderr.splitlines() == [f"charlm: line 2 has {what}", f"charlm: 2 lines have {what}"]


@pytest.mark.parametrize("flags, answer", [([], "\n"), (["--n-best", "2"], "\n"), (["--jsonl"], '"targets": []}\n')])
def test_a_line_of_one_unknown_space_gets_an_empty_answer_and_a_warning(pairs_model, flags, answer):
    done = run_in_process("translate", "-m", pairs_model, *flags, stdin=b" \n").check()
    assert done.text.endswith(answer) and done.text.count("\n") == 1
    assert done.stderr == "charlm: line 1 has characters that no source in the training data has\n"


def test_a_line_with_a_tab_is_translated_with_a_warning_for_the_line(pairs_model):
    done = run_in_process("translate", "-m", pairs_model, stdin=b"ab\nab\tcd\n")
    assert done.stdout.count(b"\n") == 2 and b"\t" not in done.stdout
    assert done.stderr.startswith("charlm: line 2 has a tab;") and done.stderr.count("\n") == 1


def test_a_byte_order_mark_is_not_part_of_the_first_source(pairs_model):
    marked, plain = (run_in_process("translate", "-m", pairs_model, stdin=text.encode())
                     for text in ("\ufeffab\n", "ab\n"))
    assert (marked.stdout, marked.stderr) == (plain.stdout, "")


def test_a_source_of_5000_characters_is_translated_between_its_neighbours(translate, tmp_path, pairs_model):
    # A target without an end would run to a limit of thousands of tokens; this model ends soon.
    model = load(str(pairs_model))
    model.weights["head.bias"][model.tokenizer.size] += 4
    save(str(tmp_path / "brief.charlm"), model)
    neighbours = translate(["a", "béa"], model=tmp_path / "brief.charlm").splitlines()
    whole = translate(["a", "abé" * 1666 + "ab", "béa"], model=tmp_path / "brief.charlm").splitlines()
    assert len(whole) == 3 and whole[::2] == neighbours


def test_a_target_without_an_end_is_cut_off_with_a_warning(pairs_model, tmp_path):
    model = load(str(pairs_model))
    model.weights["head.bias"][model.tokenizer.size] = -1000        # the logit of the end
    save(str(tmp_path / "endless.charlm"), model)
    done = run_in_process("translate", "-m", tmp_path / "endless.charlm", "--beam", 1, stdin=b"\nab\n")
    assert done.code == 0
    assert done.stderr == "charlm: line 2 has a target that was cut off at the length limit\n"
    empty, answer = done.text.splitlines()
    assert empty == "" and 2 < len(answer) < 100            # longer than its target, but limited


@pytest.mark.parametrize("tokenizer", ["byte", "bpe", "unigram"])
def test_a_target_is_one_line_whatever_the_tokens_are(lexicon, tmp_path, tokenizer):
    path = str(tmp_path / "m.charlm")
    run_in_process("train", lexicon, "-o", path, *BRIEF, "--quiet", "--tokenizer", tokenizer).check()
    model = load(path)
    for token in range(model.tokenizer.size):
        if "\n" in "".join(model.tokenizer.decoder().push([token])):
            model.weights["head.bias"][token] = 10
    save(path, model)
    done = run_in_process("translate", "-m", path, "--beam", 1, stdin=b"a\nab\n")
    assert (done.code, done.stdout.count(b"\n")) == (0, 2)


def test_an_alignment_has_a_row_for_each_token_and_all_shares_as_json(pairs_model):
    rows = [line.split("\t") for line in run_in_process(
        "translate", "-m", pairs_model, "--alignment", stdin="ab\n\né\n".encode()).check().text.splitlines()]
    records = run_in_process("translate", "-m", pairs_model, "--alignment", "--jsonl",
                             stdin="ab\n\né\n".encode()).check().records
    assert [record["line"] for record in records] == [1, 2, 3] and "alignment" not in records[1]
    shown = iter(rows)
    for record in (records[0], records[2]):
        found = record["alignment"]
        assert "".join(found["target"]) == record["targets"][0]["text"] + "\n"
        assert found["source"][0] == "" and len(found["source"]) == 3
        for token, weights in zip(found["target"], found["weights"], strict=True):
            line, own, letter, weight = next(shown)
            assert (line, own) == (str(record["line"]), token.replace("\n", "\\n"))
            assert float(weight) == pytest.approx(max(weights), abs=1e-4)
            assert letter == found["source"][weights.index(max(weights))]
            assert sum(weights) == pytest.approx(1, abs=1e-3)
    assert next(shown, None) is None


def test_an_alignment_is_of_the_best_target_alone(pairs_model):
    done = run_in_process("translate", "-m", pairs_model, "--alignment", "--n-best", 2, stdin=b"a")
    assert "--n-best" in error_line(done, 2)
