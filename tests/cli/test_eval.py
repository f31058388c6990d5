"""`charlm eval`: the loss of a text."""

import gzip
import json
import math

import pytest

from charlm.modelfile import load


@pytest.fixture
def evaluate(here, model, capfd):
    """What `charlm eval --jsonl` says, run in this process."""
    def run(*arguments):
        capfd.readouterr()
        here("eval", "-m", model, "--jsonl", *arguments)
        return json.loads(capfd.readouterr().out)
    return run


@pytest.fixture
def held_out(model, verses, tmp_path):
    """The part of the text that training kept for validation."""
    text = verses.read_text(encoding="utf-8")[load(str(model)).training["train_characters"]:]
    path = tmp_path / "held-out.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_eval_of_the_held_out_text_is_the_training_s_validation_loss(evaluate, held_out, model):
    said, trained = evaluate(held_out), load(str(model)).training
    assert said["nats_per_token"] == pytest.approx(trained["nats_per_token"], abs=1e-4)
    assert said["bits_per_character"] == pytest.approx(trained["bits_per_character"], abs=1e-4)
    assert said["characters"] == said["tokens"] == trained["validation_characters"]


def test_the_units_agree_with_each_other(evaluate, verses):
    said = evaluate(verses)
    assert said["perplexity"] == pytest.approx(math.exp(said["nats_per_token"]))
    assert said["bits_per_character"] == pytest.approx(said["nats_per_token"] / math.log(2))


def test_stdin_and_archives_are_read_as_the_text(charlm, evaluate, model, held_out, tmp_path):
    (tmp_path / "text.gz").write_bytes(gzip.compress(held_out.read_bytes()))
    expected = evaluate(held_out)
    assert evaluate(tmp_path / "text.gz") == expected
    done = charlm("eval", "-m", model, "--jsonl", "-", input=held_out.read_bytes())
    assert json.loads(done.stdout) == expected


def test_several_files_are_one_text(evaluate, held_out, tmp_path):
    data = held_out.read_bytes()
    for name, part in (("one", data[:100]), ("two", data[100:])):
        (tmp_path / name).write_bytes(part)
    assert evaluate(tmp_path / "one", tmp_path / "two") == evaluate(held_out)


def test_a_window_as_long_as_the_text_is_the_carried_state(evaluate, held_out):
    whole, carried = evaluate("--window", 10_000, held_out), evaluate(held_out)
    assert whole["nats_per_token"] == pytest.approx(carried["nats_per_token"], abs=1e-5)
    cold = evaluate("--window", 3, held_out)
    assert cold["tokens"] == carried["tokens"]
    assert abs(cold["nats_per_token"] - carried["nats_per_token"]) > 1e-4


def test_a_text_of_unknown_characters_costs_more_and_is_finite(evaluate, held_out, tmp_path):
    (tmp_path / "other.txt").write_text("Ωμέγα", encoding="utf-8")
    strange = evaluate(tmp_path / "other.txt")["nats_per_token"]
    assert evaluate(held_out)["nats_per_token"] + 5 < strange < 100


def test_without_jsonl_it_is_a_table_of_names_and_values(charlm, model, held_out):
    done = charlm("eval", "-m", model, held_out)
    rows = dict(line.split("\t") for line in done.stdout.decode().splitlines())
    assert list(rows) == ["nats_per_token", "bits_per_character", "perplexity", "tokens", "characters"]
    assert all(float(value) > 0 for value in rows.values())


@pytest.mark.parametrize("content", [b"", b"\xff", None])
def test_a_text_that_cannot_be_measured_is_a_corpus_error(piped, refusal, model, tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "text").write_bytes(content)
    done = piped(b"", "eval", "-m", model, "text")
    assert done.returncode == 4
    assert "text: " in refusal(done)


@pytest.fixture
def measure(piped):
    """What `charlm eval --jsonl` says of a file's content by some model."""
    def run(model, content, *flags):
        done = piped(content if isinstance(content, bytes) else content.encode(), "eval", "-m", model, "--jsonl", "-",
                     *flags)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return run


@pytest.fixture
def own_pairs(piped, pairs_model):
    """Sources with the model's own greedy targets and their log probabilities; all differ and none is empty."""
    sources = ["a", "ab", "béa", "bb", "éaé", "abab", "éé", "baa", "éb", "bab"]
    done = piped("\n".join(sources).encode(), "translate", "-m", pairs_model, "--beam", 1, "--jsonl")
    best = [json.loads(line)["targets"][0] for line in done.stdout.decode().splitlines()]
    assert all(target["text"] and target["finished"] for target in best)
    assert len({target["text"] for target in best}) > 5
    return [(source, target["text"], target["log_probability"]) for source, target in zip(sources, best)]


def as_pairs(rows):
    return "".join(f"{row[0]}\t{row[1]}\n" for row in rows)


def test_a_model_makes_no_error_in_its_own_translations_and_its_loss_is_their_log_probability(
        measure, own_pairs, pairs_model):
    said = measure(pairs_model, as_pairs(own_pairs), "--beam", 1)
    assert said["word_error_rate"] == said["character_error_rate"] == 0
    assert said["sources"] == said["pairs"] == len(own_pairs)
    assert said["characters"] == sum(len(target) for _, target, _ in own_pairs)
    assert said["tokens"] == said["characters"] + said["pairs"]            # an end each
    assert said["nats_per_token"] * said["tokens"] == pytest.approx(-sum(row[2] for row in own_pairs), rel=1e-4)
    assert said["bits_per_character"] * said["characters"] * math.log(2) == pytest.approx(
        said["nats_per_token"] * said["tokens"])
    assert said["perplexity"] == pytest.approx(math.exp(said["nats_per_token"]))


def test_errors_are_the_targets_not_written_and_the_edits_that_they_need(measure, own_pairs, pairs_model):
    (source, target, _), *rest = own_pairs
    wrong = as_pairs([(source, target + "BA"), *rest])
    said = measure(pairs_model, wrong, "--beam", 1)
    assert said["word_error_rate"] == pytest.approx(1 / len(own_pairs))
    assert said["character_error_rate"] == pytest.approx(2 / said["characters"])
    assert said["nats_per_token"] > measure(pairs_model, as_pairs(own_pairs), "--beam", 1)["nats_per_token"]


def test_a_source_with_several_targets_is_right_with_any_of_them(measure, own_pairs, pairs_model):
    others = [(source, "BÉB") for source, _, _ in own_pairs]
    said = measure(pairs_model, as_pairs([*others, *own_pairs]), "--beam", 1)
    assert (said["word_error_rate"], said["character_error_rate"]) == (0, 0)
    assert (said["sources"], said["pairs"]) == (len(own_pairs), 2 * len(own_pairs))


def test_greedy_eval_of_held_out_pairs_is_the_training_s_validation(measure, held_out_pairs, pairs_model):
    said, trained = measure(pairs_model, held_out_pairs.read_bytes(), "--beam", 1), load(str(pairs_model)).training
    assert 0 < said["word_error_rate"] < 1
    assert said["word_error_rate"] == trained["word_error_rate"]
    for name in ("nats_per_token", "bits_per_character"):
        assert said[name] == pytest.approx(trained[name], abs=1e-4)


def test_eval_searches_with_the_beam_that_translate_has(piped, measure, held_out_pairs, pairs_model):
    sources = [line.split("\t")[0] for line in held_out_pairs.read_text(encoding="utf-8").splitlines()]

    def targets(*flags):
        done = piped("\n".join(sources).encode(), "translate", "-m", pairs_model, *flags)
        return done.stdout.decode().splitlines()
    differing = [row for row in zip(sources, targets(), targets("--beam", 1)) if row[1] != row[2] and row[1]]
    assert differing
    assert measure(pairs_model, as_pairs(differing))["word_error_rate"] == 0
    assert measure(pairs_model, as_pairs(differing), "--beam", 1)["word_error_rate"] == 1


def test_pairs_of_unknown_characters_cost_more_and_stay_finite(measure, own_pairs, pairs_model):
    said = measure(pairs_model, "日本\t東京\n☃a\tA\n")
    assert measure(pairs_model, as_pairs(own_pairs))["nats_per_token"] < said["nats_per_token"] < 100
    assert said["word_error_rate"] > 0


@pytest.mark.parametrize("content, reason", [
    (b"a\tA\nab\n", "line 2 has no tab"), (b"a\tA\n\nab\tAB\tAB\n", "line 3 has 2 tabs"), (b"\tA\n", "an empty source"),
    (b"", "empty"), (b"\n", "empty"), (b"a\t\xff\n", "0xff at offset 2")])
def test_pairs_that_are_none_are_a_corpus_error_with_their_line(piped, refusal, pairs_model, tmp_path, content, reason):
    (tmp_path / "pairs.txt").write_bytes(content)
    done = piped(b"", "eval", "-m", pairs_model, tmp_path / "pairs.txt")
    assert done.returncode == 4
    assert "pairs.txt: " in refusal(done) and reason in refusal(done)


def test_eval_of_the_held_out_text_of_a_fill_model_is_the_training_s_validation_loss(measure, verses, fill_model):
    trained = load(str(fill_model)).training
    text = verses.read_text(encoding="utf-8")[trained["train_characters"]:]
    said = measure(fill_model, text)
    for name in ("nats_per_token", "bits_per_character"):
        assert said[name] == pytest.approx(trained[name], abs=1e-4)
    assert said["perplexity"] == pytest.approx(math.exp(said["nats_per_token"]))
    assert said["bits_per_character"] * said["characters"] * math.log(2) == pytest.approx(
        said["nats_per_token"] * said["tokens"])
    assert 0 <= said["exact_fills"] <= 1 and 0 < said["gaps"] <= said["tokens"]
    assert said == measure(fill_model, text)


def test_a_fill_model_measures_a_text_of_one_character_and_refuses_none(measure, piped, refusal, fill_model):
    assert measure(fill_model, "g")["gaps"] == 1
    done = piped(b"", "eval", "-m", fill_model, "-")
    assert done.returncode == 4 and "empty" in refusal(done)


@pytest.mark.parametrize("given", ["pairs_model", "fill_model", "lines_model", "labels_model"])
def test_a_window_is_for_running_text_alone(request, piped, refusal, lexicon, given):
    done = piped(b"", "eval", "-m", request.getfixturevalue(given), "--window", 8, lexicon)
    assert done.returncode == 2
    assert "--window" in refusal(done)


def test_a_table_of_pairs_begins_with_what_matters(piped, pairs_model, held_out_pairs):
    done = piped(b"", "eval", "-m", pairs_model, held_out_pairs)
    names = [line.split("\t")[0] for line in done.stdout.decode().splitlines()]
    assert names == ["word_error_rate", "character_error_rate", "sources", "pairs", "nats_per_token",
                     "bits_per_character", "perplexity", "tokens", "characters"]


def test_eval_of_lines_is_the_total_of_their_scores(measure, through, lines_model, labels_model, names, labelled_names):
    for model, path in ((lines_model, names), (labels_model, labelled_names)):
        data = path.read_bytes()
        said = measure(model, data)
        total = json.loads(through(data, "score", "-m", model, "--level", "total", "--jsonl"))
        for name in ("lines", "characters", "tokens"):
            assert said[name] == total[name]
        assert said["bits_per_character"] == pytest.approx(total["bits_per_character"], abs=1e-6)
        assert said["nats_per_token"] * said["tokens"] == pytest.approx(total["bits"] * math.log(2), rel=1e-6)
        assert said["perplexity"] == pytest.approx(math.exp(said["nats_per_token"]))
        assert said["lines"] == data.count(b"\n")


def test_a_uniform_model_of_lines_has_as_many_choices_as_ids(measure, uniform, lines_model):
    said = measure(uniform(lines_model), "Ban\n\nO'\n")
    assert said["perplexity"] == pytest.approx(load(str(lines_model)).config.vocabulary_size, rel=1e-5)
    assert (said["lines"], said["characters"], said["tokens"]) == (3, 8, 8)


def test_the_label_error_rate_is_the_share_of_lines_that_classify_misses(measure, through, labels_model, labelled_names):
    rows = [row.split("\t") for row in labelled_names.read_text(encoding="utf-8").splitlines()]
    rows += [("Irish", "Lutsson"), ("Español", "O'Banan"), ("Icelandic", "x")]
    answers = through("".join(f"{name}\n" for _, name in rows).encode(), "classify", "-m", labels_model)
    missed = sum(own != row.split("\t")[0] for (own, _), row in zip(rows, answers.decode().splitlines(), strict=True))
    said = measure(labels_model, as_pairs(rows))
    assert said["label_error_rate"] == pytest.approx(missed / len(rows)) and 3 <= missed < len(rows) / 4


def test_lines_without_labels_have_no_label_error_rate(measure, lines_model):
    assert list(measure(lines_model, "Ban\n")) == [
        "lines", "nats_per_token", "bits_per_character", "perplexity", "tokens", "characters"]


def test_a_table_of_labelled_lines_begins_with_what_matters(piped, labels_model, labelled_names):
    done = piped(b"", "eval", "-m", labels_model, labelled_names)
    assert [line.split("\t")[0] for line in done.stdout.decode().splitlines()] == [
        "label_error_rate", "lines", "nats_per_token", "bits_per_character", "perplexity", "tokens", "characters"]


def test_lines_with_crlf_an_open_end_or_a_mark_before_them_are_the_lines(measure, lines_model):
    data = "Ban\n\nFotñez\n".encode()
    for other in (data.replace(b"\n", b"\r\n"), data.removesuffix(b"\n"), b"\xef\xbb\xbf" + data):
        assert measure(lines_model, other) == measure(lines_model, data)


def test_lines_of_several_files_and_of_many_batches_are_measured_together(piped, measure, lines_model, tmp_path, names):
    data = names.read_bytes()
    (tmp_path / "one").write_bytes(data.removesuffix(b"\n"))
    (tmp_path / "two").write_bytes(data * 9)
    done = piped(b"", "eval", "-m", lines_model, "--jsonl", tmp_path / "one", tmp_path / "two")
    said, once = json.loads(done.stdout), measure(lines_model, data)
    assert said["lines"] == 10 * once["lines"] > 1024
    assert said["bits_per_character"] == pytest.approx(once["bits_per_character"], abs=1e-6)


@pytest.mark.parametrize("content, reason", [
    (b"Irish\tBan\nBan\n", "line 2 has no tab; a line is label<TAB>text"), (b"Irish\tBan\tez\n", "line 1 has 2 tabs"),
    (b"irish\tBan\n", "no label 'irish'; did you mean Irish?"), (b"", "empty; there is nothing to measure"),
    (b"Irish\t\xff\n", "0xff at offset 6")])
def test_labelled_lines_that_are_none_are_a_corpus_error(piped, refusal, labels_model, tmp_path, content, reason):
    (tmp_path / "names.tsv").write_bytes(content)
    done = piped(b"", "eval", "-m", labels_model, tmp_path / "names.tsv")
    assert done.returncode == 4
    assert reason in refusal(done)


def test_eval_of_lines_is_the_training_s_validation(here, measure, names, tmp_path):
    (tmp_path / "held-out.txt").write_text("O'Banez\n\nLutñey\n日\n", encoding="utf-8")
    here("train", names, "-o", tmp_path / "m.charlm", "--lines", "--hidden", 8, "--layers", 1, "--steps", 3, "--quiet",
         "--validation", tmp_path / "held-out.txt")
    said, trained = measure(tmp_path / "m.charlm", (tmp_path / "held-out.txt").read_bytes()), load(str(tmp_path / "m.charlm")).training
    for name in ("nats_per_token", "bits_per_character"):
        assert said[name] == pytest.approx(trained[name], abs=1e-5)
