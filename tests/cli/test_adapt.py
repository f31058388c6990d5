"""`--adapt`: the model learns from what it reads, and says so only where it was asked to."""

import json
import math

import pytest

from charlm.modelfile import load
from tests.helpers.runners import error_line, run_in_process, run_process
from tests.helpers.texts import TINY


@pytest.fixture
def repetitive(tmp_path, verses):
    """A text that repeats its lines."""
    path = tmp_path / "full"            # a name that is also a value of --adapt
    path.write_text("".join(verses.read_text(encoding="utf-8").splitlines(keepends=True)[:4]) * 12, encoding="utf-8")
    return path


def evaluate(model, *arguments):
    return json.loads(run_in_process("eval", "-m", model, "--jsonl", *arguments).check().stdout)


def test_eval_prints_the_static_loss_and_after_it_the_adapted(model, repetitive):
    static, both = evaluate(model, f"./{repetitive.name}"), evaluate(model, "--adapt", f"./{repetitive.name}")
    assert {name: both[name] for name in static} == pytest.approx(static, abs=1e-6)
    assert [*both][len(static):] == ["adapted_nats_per_token", "adapted_bits_per_character"]
    assert both["adapted_nats_per_token"] < static["nats_per_token"] - 0.5
    assert both["adapted_bits_per_character"] == pytest.approx(both["adapted_nats_per_token"] / math.log(2))


def test_eval_of_lines_adapts_from_line_to_line(lines_model, names, labels_model, labelled_names):
    for path, corpus in ((lines_model, names), (labels_model, labelled_names)):
        static, both = evaluate(path, corpus), evaluate(path, "--adapt", corpus, "--threads", "2")
        assert {name: both[name] for name in static} == pytest.approx(static, abs=1e-6)
        assert abs(both["adapted_nats_per_token"] - static["nats_per_token"]) > 1e-4


def test_the_total_score_is_what_eval_measures(model, repetitive):
    done = run_in_process("score", "-m", model, "--adapt", "--carry", "--level", "total", "--jsonl", repetitive)
    total = json.loads(done.check().stdout)["bits_per_character"]
    assert total == pytest.approx(evaluate(model, repetitive, "--adapt")["adapted_bits_per_character"], abs=1e-5)


def test_what_was_surprising_becomes_normal(lines_model):
    text = b"Xq-7 zz\n" * 30
    done = run_process("score", "-m", lines_model, "--adapt", stdin=text)
    done.check()
    rates = [float(line.split("\t")[0]) for line in done.stdout.decode().splitlines()]
    assert len(rates) == 30 and rates[-1] < 0.75 * rates[0]
    kept = run_in_process("filter", "-m", lines_model, "--adapt", "--max-bpc", str(0.8 * rates[0]), stdin=text)
    assert 0 < kept.check().text.count("\n") == sum(rate <= 0.8 * rates[0] for rate in rates)


def test_a_label_is_needed_to_adapt(labels_model, labelled_names):
    line = labelled_names.read_bytes().splitlines(keepends=True)[0]
    done = run_in_process("score", "-m", labels_model, "--adapt", stdin=line + b"no label\n")
    assert "needs its label" in done.stderr and done.code == 4 and done.text.count("\n") == 2


def test_a_sample_takes_up_the_manner_of_its_prompt(model):
    prompt = "qxq zxz " * 30
    run = [run_in_process("sample", "-m", model, "-p", prompt, "--no-echo", "-n", "60", "--temp", "0.5", "--seed", "1",
                          *flags).check().text for flags in (["--adapt"], ["--adapt"], [])]
    assert run[0] == run[1] != run[2]


@pytest.mark.parametrize("arguments, problem", [
    (["score", "--adapt", "full"], "full is for eval and score"),
    (["sample", "--adapt=full"], "full is for eval and score"),
    (["filter", "--adapt=head=1", "--max-bpc", "1"], "--adapt"),
    (["eval", "--adapt", "--window", "5", "x"], "leave --window out")])
def test_what_does_not_fit_is_refused_in_a_line(model, arguments, problem):
    done = run_in_process(*arguments[:1], "-m", model, *arguments[1:], stdin=b"")
    assert problem in error_line(done, 2)


def test_models_that_do_not_read_on_are_refused(pairs_model, fill_model, lines_model, lexicon):
    for path in (pairs_model, fill_model):
        done = run_in_process("eval", "-m", path, "--adapt", lexicon)
        assert "running text and of lines" in error_line(done, 2)
    done = run_in_process("sample", "-m", lines_model, "--adapt", "-p", "A")
    assert "running text" in error_line(done, 2)


def test_training_stores_the_settings_that_suit_the_held_out_text(tmp_path, verses, train_quietly):
    held_out = tmp_path / "held-out.txt"
    held_out.write_text(verses.read_text(encoding="utf-8")[:90] * 15, encoding="utf-8")
    one, other = (train_quietly(verses, *TINY, "--seed", "1", "--validation", held_out) for _ in range(2))
    assert one.read_bytes() == other.read_bytes()
    assert load(str(one)).adaptation.concentration < 3
