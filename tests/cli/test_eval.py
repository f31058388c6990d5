"""`charlm eval`: the loss of a model on a text, and its error rates."""

import gzip
import json
import math

import pytest

from charlm.inference.evaluation import edit_distance
from charlm.modelfile import load
from tests.helpers.runners import error_line, run_in_process, run_process
from tests.helpers.texts import BRIEF, as_lines, as_rows


@pytest.fixture
def evaluate(model):
    """Return a function from files and flags to the record of `charlm eval --jsonl`."""
    return lambda *arguments: json.loads(run_in_process("eval", "-m", model, "--jsonl", *arguments).check().stdout)


@pytest.fixture
def held_out(model, verses, tmp_path):
    """The part of the text that was held out for validation."""
    text = verses.read_text(encoding="utf-8")[load(str(model)).training["train_characters"]:]
    path = tmp_path / "held-out.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_eval_of_the_held_out_text_is_the_validation_loss(evaluate, held_out, model):
    measured, trained = evaluate(held_out), load(str(model)).training
    assert measured["nats_per_token"] == pytest.approx(trained["nats_per_token"], abs=1e-4)
    assert measured["bits_per_character"] == pytest.approx(trained["bits_per_character"], abs=1e-4)
    assert measured["characters"] == measured["tokens"] == trained["validation_characters"]


def test_the_units_agree_with_each_other(evaluate, verses):
    measured = evaluate(verses)
    assert measured["perplexity"] == pytest.approx(math.exp(measured["nats_per_token"]))
    assert measured["bits_per_character"] == pytest.approx(measured["nats_per_token"] / math.log(2))


def test_stdin_and_archives_are_read_as_the_text(evaluate, model, held_out, tmp_path):
    (tmp_path / "text.gz").write_bytes(gzip.compress(held_out.read_bytes()))
    expected = evaluate(held_out)
    assert evaluate(tmp_path / "text.gz") == expected
    done = run_process("eval", "-m", model, "--jsonl", "-", stdin=held_out.read_bytes())
    assert json.loads(done.stdout) == expected


def test_several_files_are_one_text(evaluate, held_out, tmp_path):
    data = held_out.read_bytes()
    for name, part in (("one", data[:100]), ("two", data[100:])):
        (tmp_path / name).write_bytes(part)
    assert evaluate(tmp_path / "one", tmp_path / "two") == evaluate(held_out)


def test_a_window_longer_than_the_text_equals_the_carried_state(evaluate, held_out):
    whole, carried = evaluate("--window", 10_000, held_out), evaluate(held_out)
    assert whole["nats_per_token"] == pytest.approx(carried["nats_per_token"], abs=1e-5)
    cold = evaluate("--window", 3, held_out)
    assert cold["tokens"] == carried["tokens"]
    assert abs(cold["nats_per_token"] - carried["nats_per_token"]) > 1e-4


def test_a_text_of_unknown_characters_costs_more_and_is_finite(evaluate, held_out, tmp_path):
    (tmp_path / "other.txt").write_text("Ωμέγα", encoding="utf-8")
    strange = evaluate(tmp_path / "other.txt")["nats_per_token"]
    assert evaluate(held_out)["nats_per_token"] + 5 < strange < 100


def test_without_jsonl_the_output_is_a_table_of_names_and_values(model, held_out):
    done = run_process("eval", "-m", model, held_out)
    rows = dict(line.split("\t") for line in done.text.splitlines())
    assert list(rows) == ["nats_per_token", "bits_per_character", "perplexity", "tokens", "characters"]
    assert all(float(value) > 0 for value in rows.values())


@pytest.mark.parametrize("content", [b"", b"\xff", None])
def test_a_text_that_cannot_be_read_is_a_corpus_error(model, tmp_path, content):
    if content is not None:
        (tmp_path / "text").write_bytes(content)
    done = run_in_process("eval", "-m", model, "text")
    assert "text: " in error_line(done, 4)


def measure(model, content, *flags):
    """Return the record of `charlm eval --jsonl` for a text on stdin."""
    data = content if isinstance(content, bytes) else content.encode()
    return json.loads(run_in_process("eval", "-m", model, "--jsonl", "-", *flags, stdin=data).check().stdout)


@pytest.fixture
def own_pairs(pairs_model):
    """Sources, the greedy targets of the model, all different and not empty, and their log probabilities."""
    sources = ["a", "ab", "béa", "bb", "éaé", "abab", "éé", "baa", "éb", "bab"]
    done = run_in_process("translate", "-m", pairs_model, "--beam", 1, "--jsonl", stdin="\n".join(sources).encode())
    best = [json.loads(line)["targets"][0] for line in done.text.splitlines()]
    assert all(target["text"] and target["finished"] for target in best)
    assert len({target["text"] for target in best}) > 5
    return [(source, target["text"], target["log_probability"]) for source, target in zip(sources, best, strict=True)]


def as_pairs(rows):
    return as_rows(row[:2] for row in rows)


def test_the_loss_of_its_own_translations_is_their_log_probability(own_pairs, pairs_model):
    measured = measure(pairs_model, as_pairs(own_pairs), "--beam", 1)
    assert measured["word_error_rate"] == measured["character_error_rate"] == 0
    assert measured["sources"] == measured["pairs"] == len(own_pairs)
    assert measured["characters"] == sum(len(target) for _, target, _ in own_pairs)
    assert measured["tokens"] == measured["characters"] + measured["pairs"]            # one end a target
    assert measured["nats_per_token"] * measured["tokens"] == pytest.approx(-sum(row[2] for row in own_pairs), rel=1e-4)
    assert measured["bits_per_character"] * measured["characters"] * math.log(2) == pytest.approx(
        measured["nats_per_token"] * measured["tokens"])
    assert measured["perplexity"] == pytest.approx(math.exp(measured["nats_per_token"]))


def test_error_rates_count_wrong_targets_and_their_edits(own_pairs, pairs_model):
    (source, target, _), *rest = own_pairs
    wrong = as_pairs([(source, target + "BA"), *rest])
    measured = measure(pairs_model, wrong, "--beam", 1)
    assert measured["word_error_rate"] == pytest.approx(1 / len(own_pairs))
    assert measured["character_error_rate"] == pytest.approx(2 / measured["characters"])
    assert measured["nats_per_token"] > measure(pairs_model, as_pairs(own_pairs), "--beam", 1)["nats_per_token"]


def test_any_target_of_a_source_counts_as_correct(own_pairs, pairs_model):
    others = [(source, "BÉB") for source, _, _ in own_pairs]
    measured = measure(pairs_model, as_pairs([*others, *own_pairs]), "--beam", 1)
    assert (measured["word_error_rate"], measured["character_error_rate"]) == (0, 0)
    assert (measured["sources"], measured["pairs"]) == (len(own_pairs), 2 * len(own_pairs))


def test_greedy_eval_of_held_out_pairs_is_the_validation_of_training(held_out_pairs, pairs_model):
    measured, trained = measure(pairs_model, held_out_pairs.read_bytes(), "--beam", 1), load(str(pairs_model)).training
    assert 0 < measured["word_error_rate"] < 1
    assert measured["word_error_rate"] == trained["word_error_rate"]
    for name in ("nats_per_token", "bits_per_character"):
        assert measured[name] == pytest.approx(trained[name], abs=1e-4)


def test_eval_searches_with_the_same_default_beam_as_translate(held_out_pairs, pairs_model):
    sources = [line.split("\t")[0] for line in held_out_pairs.read_text(encoding="utf-8").splitlines()]

    def targets(*flags):
        done = run_in_process("translate", "-m", pairs_model, *flags, stdin="\n".join(sources).encode())
        return done.text.splitlines()
    rows = zip(sources, targets(), targets("--beam", 1), strict=True)
    differing = [row for row in rows if row[1] != row[2] and row[1]]
    assert differing
    assert measure(pairs_model, as_pairs(differing))["word_error_rate"] == 0
    assert measure(pairs_model, as_pairs(differing), "--beam", 1)["word_error_rate"] == 1


def test_pairs_of_unknown_characters_cost_more_and_stay_finite(own_pairs, pairs_model):
    measured = measure(pairs_model, "日本\t東京\n☃a\tA\n")
    assert measure(pairs_model, as_pairs(own_pairs))["nats_per_token"] < measured["nats_per_token"] < 100
    assert measured["word_error_rate"] > 0


@pytest.mark.parametrize("content, reason", [
    (b"a\tA\nab\n", "line 2 has no tab"), (b"a\tA\n\nab\tAB\tAB\n", "line 3 has 2 tabs"), (b"\tA\n", "an empty source"),
    (b"", "empty"), (b"\n", "empty"), (b"a\t\xff\n", "0xff at offset 2")])
def test_malformed_pairs_are_a_corpus_error_with_the_line_number(pairs_model, tmp_path, content, reason):
    (tmp_path / "pairs.txt").write_bytes(content)
    done = run_in_process("eval", "-m", pairs_model, tmp_path / "pairs.txt")
    assert "pairs.txt: " in error_line(done, 4) and reason in error_line(done, 4)


def test_eval_of_the_held_out_text_of_a_fill_model_is_its_validation_loss(verses, fill_model):
    trained = load(str(fill_model)).training
    text = verses.read_text(encoding="utf-8")[trained["train_characters"]:]
    measured = measure(fill_model, text)
    for name in ("nats_per_token", "bits_per_character"):
        assert measured[name] == pytest.approx(trained[name], abs=1e-4)
    assert measured["perplexity"] == pytest.approx(math.exp(measured["nats_per_token"]))
    assert measured["bits_per_character"] * measured["characters"] * math.log(2) == pytest.approx(
        measured["nats_per_token"] * measured["tokens"])
    assert 0 <= measured["exact_fills"] <= 1 and 0 < measured["gaps"] <= measured["tokens"]
    assert measured == measure(fill_model, text)


def test_a_fill_model_measures_one_character_and_refuses_an_empty_text(fill_model):
    assert measure(fill_model, "g")["gaps"] == 1
    done = run_in_process("eval", "-m", fill_model, "-")
    assert "empty" in error_line(done, 4)


@pytest.mark.parametrize("given", ["pairs_model", "fill_model", "lines_model", "labels_model"])
def test_a_window_is_for_running_text_only(request, lexicon, given):
    done = run_in_process("eval", "-m", request.getfixturevalue(given), "--window", 8, lexicon)
    assert "--window" in error_line(done, 2)


def test_a_table_of_pairs_begins_with_the_error_rates(pairs_model, held_out_pairs):
    done = run_in_process("eval", "-m", pairs_model, held_out_pairs)
    names = [line.split("\t")[0] for line in done.text.splitlines()]
    assert names == ["word_error_rate", "character_error_rate", "sources", "pairs", "nats_per_token",
                     "bits_per_character", "perplexity", "tokens", "characters"]


def test_eval_of_lines_is_the_total_of_their_scores(lines_model, labels_model, names, labelled_names):
    for model, path in ((lines_model, names), (labels_model, labelled_names)):
        data = path.read_bytes()
        measured = measure(model, data)
        total = json.loads(run_in_process("score", "-m", model, "--level", "total", "--jsonl",
                                          stdin=data).check().stdout)
        for name in ("lines", "characters", "tokens"):
            assert measured[name] == total[name]
        assert measured["bits_per_character"] == pytest.approx(total["bits_per_character"], abs=1e-6)
        assert measured["nats_per_token"] * measured["tokens"] == pytest.approx(total["bits"] * math.log(2), rel=1e-6)
        assert measured["perplexity"] == pytest.approx(math.exp(measured["nats_per_token"]))
        assert measured["lines"] == data.count(b"\n")


def test_the_perplexity_of_a_uniform_model_of_lines_is_its_vocabulary_size(uniform, lines_model):
    measured = measure(uniform(lines_model), "Ban\n\nO'\n")
    assert measured["perplexity"] == pytest.approx(load(str(lines_model)).config.vocabulary_size, rel=1e-5)
    assert (measured["lines"], measured["characters"], measured["tokens"]) == (3, 8, 8)


def test_the_label_error_rate_is_the_share_of_lines_classify_gets_wrong(labels_model, labelled_names):
    rows = [row.split("\t") for row in labelled_names.read_text(encoding="utf-8").splitlines()]
    rows += [("Irish", "Lutsson"), ("Español", "O'Banan"), ("Icelandic", "x")]
    data = as_lines(name for _, name in rows).encode()
    answers = run_in_process("classify", "-m", labels_model, stdin=data).check().text.splitlines()
    missed = sum(label != answer.split("\t")[0] for (label, _), answer in zip(rows, answers, strict=True))
    measured = measure(labels_model, as_pairs(rows))
    assert measured["label_error_rate"] == pytest.approx(missed / len(rows)) and 0 < missed < len(rows) / 4


def test_lines_without_labels_have_no_label_error_rate(lines_model):
    assert list(measure(lines_model, "Ban\n")) == [
        "lines", "nats_per_token", "bits_per_character", "perplexity", "tokens", "characters"]


def test_a_table_of_labelled_lines_begins_with_the_error_rate(labels_model, labelled_names):
    done = run_in_process("eval", "-m", labels_model, labelled_names)
    assert [line.split("\t")[0] for line in done.text.splitlines()] == [
        "label_error_rate", "lines", "nats_per_token", "bits_per_character", "perplexity", "tokens", "characters"]


def test_crlf_a_missing_last_newline_and_a_bom_do_not_change_lines(lines_model):
    data = "Ban\n\nFotñez\n".encode()
    for other in (data.replace(b"\n", b"\r\n"), data.removesuffix(b"\n"), b"\xef\xbb\xbf" + data):
        assert measure(lines_model, other) == measure(lines_model, data)


def test_lines_of_several_files_and_many_batches_are_measured_together(lines_model, tmp_path, names):
    data = names.read_bytes()
    (tmp_path / "one").write_bytes(data.removesuffix(b"\n"))
    (tmp_path / "two").write_bytes(data * 9)
    done = run_in_process("eval", "-m", lines_model, "--jsonl", tmp_path / "one", tmp_path / "two")
    measured, once = json.loads(done.stdout), measure(lines_model, data)
    assert measured["lines"] == 10 * once["lines"] > 1024
    assert measured["bits_per_character"] == pytest.approx(once["bits_per_character"], abs=1e-6)


@pytest.mark.parametrize("content, reason", [
    (b"Irish\tBan\nBan\n", "line 2 has no tab; a line is label<TAB>text"), (b"Irish\tBan\tez\n", "line 1 has 2 tabs"),
    (b"irish\tBan\n", "no label 'irish'; did you mean Irish?"), (b"", "empty; there is nothing to measure"),
    (b"Irish\t\xff\n", "0xff at offset 6")])
def test_malformed_labelled_lines_are_a_corpus_error(labels_model, tmp_path, content, reason):
    (tmp_path / "names.tsv").write_bytes(content)
    done = run_in_process("eval", "-m", labels_model, tmp_path / "names.tsv")
    assert reason in error_line(done, 4)


def test_eval_of_lines_is_the_validation_of_training(names, tmp_path):
    (tmp_path / "held-out.txt").write_text("O'Banez\n\nLutñey\n日\n", encoding="utf-8")
    run_in_process("train", names, "-o", "m.charlm", "--lines", *BRIEF, "--quiet", "--validation",
                   "held-out.txt").check()
    measured, trained = measure("m.charlm", (tmp_path / "held-out.txt").read_bytes()), load("m.charlm").training
    for name in ("nats_per_token", "bits_per_character"):
        assert measured[name] == pytest.approx(trained[name], abs=1e-5)


def breakdown(model, data, *flags):
    """Return the records of `charlm eval --breakdown` for a text or bytes."""
    data = data if isinstance(data, bytes) else data.encode()
    return run_in_process("eval", "-m", model, "--breakdown", "--jsonl", *flags, "-", stdin=data).check().records


@pytest.mark.parametrize("given", ["model", "lines_model"])
def test_a_breakdown_divides_the_loss_that_eval_measures(request, given, tmp_path):
    model, text = request.getfixturevalue(given), "O'Banan 10\nand a Lutñey,\n"
    measured = measure(model, text)
    (tmp_path / "seen.txt").write_text("O'Banan and a bottle\n" * 9, encoding="utf-8")
    whole, *kinds = breakdown(model, text, "--training-text", "seen.txt")
    assert whole["bits_per_character"] == pytest.approx(measured["bits_per_character"], abs=1e-4)
    assert whole["characters"] == measured["characters"] == sum(row["characters"] for row in kinds)
    assert sum(row["share"] for row in kinds) == pytest.approx(1)
    for name in ("bits_per_character", "2-gram", "6-gram"):
        mean = sum(row[name] * row["characters"] for row in kinds) / whole["characters"]
        assert whole[name] == pytest.approx(mean)
    found = {row["kind"]: row for row in kinds}
    assert found["unseen name"]["characters"] == len("Lutñey") and found["line end"]["characters"] == 2
    assert found["inside word"]["6-gram"] + 1 < found["unseen name"]["6-gram"]


def test_a_breakdown_of_its_training_text_is_easy_for_long_ngrams(model, verses):
    whole = breakdown(model, verses.read_bytes(), "--training-text", verses)[0]
    assert whole["6-gram"] < whole["4-gram"] < whole["2-gram"]


def test_the_edits_of_pairs_are_those_of_their_translations(pairs_model):
    rows = [("ab", "AB"), ("ab", "AXB"), ("é", "AÉZ")]
    targets = run_in_process("translate", "-m", pairs_model, "--beam", 1, stdin="ab\né\n".encode()).text.splitlines()
    found, measured = (run(pairs_model, as_pairs(rows), "--beam", 1) for run in (breakdown, measure))
    nearest = [min(["AB", "AXB"], key=lambda target: edit_distance(targets[0], target)), "AÉZ"]
    edits = sum(row["count"] for row in found)
    assert edits == sum(map(edit_distance, targets, nearest)) > 0
    assert edits / sum(map(len, nearest)) == pytest.approx(measured["character_error_rate"])
    assert [row["count"] for row in found] == sorted((row["count"] for row in found), reverse=True)


def test_the_confusions_of_labels_sum_to_the_lines(labels_model, labelled_names):
    text = labelled_names.read_text(encoding="utf-8")
    measured, table = measure(labels_model, text), breakdown(labels_model, text)
    labels = [row["label"] for row in table]
    assert list(table[0]) == ["label", *labels]
    for row in table:
        assert sum(row[label] for label in labels) == text.count(f"{row['label']}\t")
    right = sum(row[row["label"]] for row in table)
    assert 1 - right / measured["lines"] == pytest.approx(measured["label_error_rate"])
    assert "no label 'Irisch'" in error_line(run_in_process(
        "eval", "-m", labels_model, "--breakdown", "-", stdin=b"Irisch\ta\n"), 4)


@pytest.mark.parametrize("given, flags, code", [
    ("fill_model", ["--breakdown"], 2), ("model", ["--breakdown", "--window", 8], 2),
    ("model", ["--training-text", "x"], 2),
    ("pairs_model", ["--breakdown", "--training-text", "-"], 2), ("model", ["--breakdown"], 4)])
def test_a_breakdown_that_cannot_be_made_is_refused(request, given, flags, code):
    error_line(run_in_process("eval", "-m", request.getfixturevalue(given), *flags, "-", stdin=b""), code)


def test_a_breakdown_as_a_table_names_its_columns(model, verses):
    rows = run_in_process("eval", "-m", model, "--breakdown", verses).check().text.splitlines()
    assert rows[0] == "kind\tcharacters\tbits_per_character\tshare" and rows[1].startswith("all\t")
