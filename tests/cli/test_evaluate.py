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
def test_a_text_that_cannot_be_measured_is_a_corpus_error(charlm, refusal, model, tmp_path, content):
    if content is not None:
        (tmp_path / "text").write_bytes(content)
    done = charlm("eval", "-m", model, "text")
    assert done.returncode == 4
    assert "text: " in refusal(done)
