"""Traces: what a model expects along a text, and what its units do."""

import math

import numpy as np
import pytest

from charlm.cli.token_records import words_of
from charlm.inference import carried
from charlm.inference.carried import CarriedReader
from charlm.inference.line_scoring import bits_by_span, make_scorer
from charlm.inference.scoring import token_nats
from charlm.inference.trace import Span, Tracer, trace_spans, unit_name
from charlm.text.labels import Labels
from charlm.text.tokenizers.registry import train

BOOK = "the cat sat on the mat, señor;\nno dog ate what the cat ate\n" * 20
TOKENIZERS = {kind: train(kind, [BOOK], vocabulary_size=None) for kind in ("char", "byte", "bpe")}
TEXTS = ["the cat sat\n", "\n", "x\n", "a dog 🐈 \u2581\0\n", "ate, ate"]
LINES = ["the cat", "", "wild\tdog ate", "calm\t", "x", "señor 🐈"]
LABELS = Labels(("calm", "wild"), (3, 1))


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]


@pytest.fixture
def network(random_network):
    """A function from a tokenizer, and the number of special ids and labels, to a network."""
    def build(tokenizer, special_ids=0, labels=0, **options):
        return random_network(tokenizer.size + special_ids, labels=labels, scale=2.0, **options)
    return build


def columns_of(trace):
    return trace.nats, trace.entropy, trace.rank, trace.top_ids, trace.top_probabilities, trace.units


@pytest.mark.parametrize("carry", [False, True])
def test_surprisals_are_those_of_the_scorer_of_running_text(network, tokenizer, carry):
    model = network(tokenizer)
    scorer = make_scorer(model, tokenizer, carry=carry)
    tracer = Tracer(model, tokenizer, carry=carry, top=3, units=[0, 5])
    # A second call begins after a text that doesn't end like the start of one.
    scores, traces = ([*by.score(TEXTS), *by.score(TEXTS)] for by in (scorer, tracer))
    for score, trace in zip(scores, traces, strict=True):
        np.testing.assert_allclose(trace.nats, score.nats, atol=1e-5)
        spans = trace_spans(trace, tokenizer)
        assert [(span.text, pytest.approx(span.bits, abs=1e-4)) for span in spans] == [*bits_by_span(score, tokenizer)]


@pytest.mark.parametrize("labels", [None, LABELS])
def test_surprisals_are_those_of_the_scorer_of_lines(network, tokenizer, labels):
    lines = LINES if labels else [line.replace("\t", " ") for line in LINES]
    model = network(tokenizer, 1, 2 if labels else 0)
    scores = make_scorer(model, tokenizer, labels, lines=True).score(lines)
    for score, trace in zip(scores, Tracer(model, tokenizer, labels, lines=True, top=2).score(lines), strict=True):
        assert trace.text == score.text
        np.testing.assert_allclose(trace.nats, score.nats, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"cell": "gru"}, {"cell": "rnn", "nonlinearity": "relu"},
                                     {"encoder": "stacked", "window": 3, "source_vocabulary_size": None}])
def test_a_trace_is_what_a_loop_of_single_steps_finds(network, options):
    tokenizer = TOKENIZERS["char"]
    if "window" in options:
        options["source_vocabulary_size"] = tokenizer.size
    model, text = network(tokenizer, **options), "the cat sat"
    trace, = Tracer(model, tokenizer, carry=True, top=4, units=range(24)).score([text])
    state, before = model.start(1), tokenizer.start_id
    for at, token in enumerate(tokenizer.encode(text).tolist()):
        logits, state = model.step(np.array([[before]]), state)
        odds = np.exp(logits[0, 0].astype(float)) / np.exp(logits[0, 0].astype(float)).sum()
        assert trace.nats[at] == pytest.approx(-math.log(odds[token]), abs=1e-5)
        assert trace.entropy[at] == pytest.approx(-(odds * np.log(odds)).sum(), abs=1e-5)
        assert trace.rank[at] == 1 + sum(odds > odds[token])
        assert trace.top_ids[at].tolist() == np.argsort(-odds)[:4].tolist()
        np.testing.assert_allclose(trace.top_probabilities[at], np.sort(odds)[:-5:-1], atol=1e-5)
        _, after = model.step(np.array([[token]]), state)
        reached = np.concatenate([layer[-1][0] for layer in after.layers])
        expected = np.tanh(reached) if model.config.cell == "lstm" else reached
        np.testing.assert_allclose(trace.units[at], expected, atol=1e-5)
        before = token


def test_units_are_named_and_chosen_by_layer_and_index(network):
    tokenizer = TOKENIZERS["char"]
    model = network(tokenizer)
    every, = Tracer(model, tokenizer, units=range(24)).score(["the cat"])
    one, = Tracer(model, tokenizer, units=[15]).score(["the cat"])
    assert one.unit_names == (unit_name(15, 12),) == ("2:3",) and every.unit_names[15] == "2:3"
    np.testing.assert_array_equal(one.units[:, 0], every.units[:, 15])


def test_no_unit_is_told_after_the_end_of_a_line(network):
    tokenizer = TOKENIZERS["char"]
    traces = Tracer(network(tokenizer, 1, 2), tokenizer, LABELS, lines=True, units=[0]).score(["calm\tcat", "cat", ""])
    assert [np.isnan(trace.units[:, 0]).tolist() for trace in traces] == [[False] * 3 + [True]] * 2 + [[]]


def test_a_certain_model_has_no_entropy_and_rank_one(network):
    tokenizer = TOKENIZERS["char"]
    model = network(tokenizer)
    model._head[...], model._head_bias[...] = 0, 0
    model._head_bias[tokenizer.encode("a")] = 2000
    trace, = Tracer(model, tokenizer, top=1).score(["aab"])
    assert trace.entropy.tolist() == [0, 0, 0] and trace.rank[:2].tolist() == [1, 1] and trace.rank[2] > 1
    assert trace.top_probabilities.tolist() == [[1]] * 3


@pytest.mark.parametrize("scale, first, stride", [(0.3, 8, 4), (6.0, 8, 4), (1.0, 30, 64)])
def test_several_cores_read_what_one_reads(network, monkeypatch, scale, first, stride):
    monkeypatch.setattr(carried, "FIRST", first)
    monkeypatch.setattr(carried, "STRIDE", stride)
    monkeypatch.setattr("charlm.inference.parallel.START_AFTER", 0.0)
    tokenizer = TOKENIZERS["char"]
    model = network(tokenizer)
    for layer in model._layers:
        layer.weight_hh *= scale                # a network that soon forgets, and one that doesn't
    texts = [BOOK[:500], BOOK[500:700], "x"]
    one, several = (Tracer(model, tokenizer, carry=True, top=2, units=[1], workers=workers).score(texts)
                    + Tracer(model, tokenizer, carry=True, top=2, units=[1], workers=workers).score(texts[:1])
                    for workers in (1, 3))
    for expected, found in zip(one, several, strict=True):
        for a, b in zip(columns_of(expected), columns_of(found), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_part_is_read_again_only_until_the_states_agree(network, record_steps, monkeypatch):
    monkeypatch.setattr(carried, "FIRST", 8)
    monkeypatch.setattr(carried, "STRIDE", 4)
    monkeypatch.setattr(carried, "map_in_order", lambda work, items, workers: ((item, work(item)) for item in items))
    tokenizer = TOKENIZERS["char"]
    model = network(tokenizer)
    for layer in model._layers:
        layer.weight_hh *= 0                    # only the cells remember, each less from step to step
    shapes = record_steps(model)
    def measure(logits, targets, tokenizer):
        return token_nats(logits, targets, tokenizer)[..., None]
    reader = CarriedReader(model, tokenizer, measure, workers=2)
    reader.read(tokenizer.encode(BOOK))
    tokens = sum(width for _, width in shapes)
    assert len(BOOK) < tokens < 1.3 * len(BOOK)


def test_a_subword_belongs_to_the_word_of_its_last_visible_character():
    def span(text, bits):
        return Span(text, bits, bits, 1, 0.5, 0)
    found = words_of([span("the", 1.0), span(" c", 2.0), span("at\t", 4.0), span("  ", 8.0), span("x", 16.0)])
    assert [(word, start, sum(own.bits for own in spans)) for word, start, spans in found] == [
        ("the", 0, 1.0), ("cat", 4, 6.0), ("x", 10, 16.0)]
