"""Scores of lines: independent, carried, and by a model of lines; and the spans of a text."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.inference.line_scoring import (
    CarriedScorer,
    IndependentScorer,
    LineScorer,
    TextScore,
    bits_by_span,
    make_scorer,
)
from charlm.inference.text_scoring import score_carried
from charlm.text.labels import Labels
from charlm.text.special_tokens import with_bos_eos
from charlm.text.tokenizers.registry import train

KINDS = ("char", "byte", "bpe", "unigram")
BOOK = "the cat sat on the mat, señor;\nno dog ate what the cat ate\n" * 20
TOKENIZERS = {kind: train(kind, [BOOK], vocabulary_size=None) for kind in KINDS}
TEXTS = ["the cat sat\n", "\n", "x\n", "a dog 🐈 \u2581\0 \ufffd\n", "crlf\r\n", "\t\t\n", "ate, ate\n", "señor"]
CHARACTERS = st.sampled_from("the cat, é🐈\n\t\r\0\u2581\u0301\ufffd\ufeff") | st.characters(codec="utf-8")
ANY_TEXT = st.text(CHARACTERS, max_size=30)
LABELS = Labels(("calm", "wild"), (3, 1))


@pytest.fixture(params=KINDS)
def tokenizer(request):
    return TOKENIZERS[request.param]


@pytest.fixture
def network(random_network):
    """A function from a tokenizer and the number of special ids and labels to a network."""
    def build(tokenizer, special_ids=0, labels=0):
        return random_network(tokenizer.size + special_ids, labels=labels, scale=2)
    return build


def make_score(tokenizer, text, *, end=False):
    """Return a score in which every token has a different cost."""
    ids = tokenizer.encode(text)
    ids = with_bos_eos(tokenizer, ids)[1:] if end else ids
    return TextScore(text + "\n" * end, ids, 2.0 ** -np.arange(len(ids)))


def test_bits_are_nats_over_log_two():
    score = TextScore("ab\n", np.arange(3), np.log([2, 4, 16]))
    assert score.bits == pytest.approx(1 + 2 + 4) and score.characters == 3
    assert score.bits_per_character == pytest.approx(7 / 3)


def test_empty_text_has_no_bits():
    empty = TextScore("", np.arange(0), np.zeros(0))
    assert (empty.bits, empty.characters, empty.bits_per_character) == (0, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(text=ANY_TEXT, end=st.booleans())
def test_spans_join_to_the_text_and_their_bits_add_up(kind, text, end):
    score = make_score(TOKENIZERS[kind], text, end=end)
    spans = list(bits_by_span(score, TOKENIZERS[kind]))
    assert "".join(span for span, _ in spans) == score.text
    assert all(span for span, _ in spans)
    assert math.fsum(bits for _, bits in spans) == pytest.approx(score.bits)
    if kind in ("char", "byte"):
        assert [span for span, _ in spans] == [*score.text]


def test_bytes_of_a_character_are_one_span():
    """The characters have one, two, one and four bytes; then the line ends."""
    byte = TOKENIZERS["byte"]
    ids = with_bos_eos(byte, byte.encode("aéb🐈"))[1:]
    score = TextScore("aéb🐈\n", ids, np.array([1, 2, 4, 8, 16, 32, 64, 128, 256]) * math.log(2))
    assert list(bits_by_span(score, byte)) == [
        ("a", 1), ("é", pytest.approx(6)), ("b", 8), ("🐈", pytest.approx(240)), ("\n", 256)]


def test_span_of_an_unknown_character_is_the_character():
    score = make_score(TOKENIZERS["char"], "cat🐈é!")
    assert [span for span, _ in bits_by_span(score, TOKENIZERS["char"])] == [*"cat🐈é!"]


def test_spans_of_subwords_have_several_characters():
    spans = [span for span, _ in bits_by_span(make_score(TOKENIZERS["bpe"], "the cat sat\n"), TOKENIZERS["bpe"])]
    assert len(spans) < len("the cat sat\n") and spans[-1] == "\n"


def unknown_cost(tokenizer, ids):
    return tokenizer.unknown_surprisal * (ids == tokenizer.unknown_id) if tokenizer.unknown_id is not None else 0


def test_independent_texts_are_read_after_the_start_token(network, stepwise_nats, tokenizer):
    model = network(tokenizer)
    for score, text in zip(IndependentScorer(model, tokenizer).score(TEXTS), TEXTS, strict=True):
        ids = tokenizer.encode(text)
        assert score.text == text and score.ids.tolist() == ids.tolist()
        slow = stepwise_nats(model, [tokenizer.start_id, *ids]) + unknown_cost(tokenizer, ids)
        assert np.abs(score.nats - slow).max(initial=0) < 1e-5


def test_carried_texts_are_scored_as_one_text_however_they_are_split(network, tokenizer):
    model, whole = network(tokenizer), "".join(TEXTS)
    expected = np.concatenate(list(score_carried(model, tokenizer, [tokenizer.encode(whole).astype(np.int64)])))
    at_once = CarriedScorer(model, tokenizer).score(TEXTS)
    scorer = CarriedScorer(model, tokenizer)
    in_calls = [score for start, stop in ((0, 0), (0, 1), (1, 5), (5, 5), (5, 8))
                for score in scorer.score(TEXTS[start:stop])]
    for scores in (at_once, in_calls):
        assert [score.text for score in scores] == TEXTS
        assert [len(score.nats) for score in scores] == [len(tokenizer.encode(text)) for text in TEXTS]
        assert np.abs(np.concatenate([score.nats for score in scores]) - expected).max() < 1e-5
        assert sum(score.bits for score in scores) == pytest.approx(expected.sum() / math.log(2))
    independent = IndependentScorer(model, tokenizer).score(TEXTS)
    assert independent[0].bits == pytest.approx(at_once[0].bits)
    assert independent[6].bits != pytest.approx(at_once[6].bits)


def test_empty_texts_have_empty_scores(network, tokenizer):
    model = network(tokenizer)
    for scorer in (IndependentScorer(model, tokenizer), CarriedScorer(model, tokenizer)):
        assert scorer.score([]) == []
        assert [(score.bits, score.characters) for score in scorer.score(["", ""])] == [(0, 0)] * 2
    assert LineScorer(model, tokenizer, None).score([]) == []


def test_score_of_a_line_includes_its_end(network, stepwise_nats, tokenizer):
    model, end = network(tokenizer, 1), tokenizer.size
    lines = [text.removesuffix("\n").removesuffix("\r") for text in TEXTS]
    for score, line in zip(LineScorer(model, tokenizer, None).score(lines), lines, strict=True):
        ids = tokenizer.encode(line)
        slow = stepwise_nats(model, [end, *ids, end]) + unknown_cost(tokenizer, np.array([*ids, end]))
        assert score.text == line + "\n" and score.characters == len(line) + 1
        assert np.abs(score.nats - slow).max() < 1e-5
        assert [span for span, _ in bits_by_span(score, tokenizer)][-1] == "\n"


@pytest.mark.parametrize("labels", [None, LABELS])
def test_blank_line_is_scored_only_by_a_model_without_labels(network, labels):
    tokenizer = TOKENIZERS["char"]
    scores = LineScorer(network(tokenizer, 1, 2 if labels else 0), tokenizer, labels).score(["a cat", "", "a cat"])
    assert [score.text for score in scores] == ["a cat\n", "" if labels else "\n", "a cat\n"]
    assert scores[0].bits == pytest.approx(scores[2].bits, abs=1e-4)
    assert (scores[1].bits == 0) == bool(labels)             # a blank line has no label, and does not count


def test_line_breaks_within_a_line_are_characters(network):
    tokenizer = TOKENIZERS["char"]
    scores = LineScorer(network(tokenizer, 1), tokenizer, None).score(["a\rb", "a\nb", "a\r"])
    assert [(score.text, len(score.nats)) for score in scores] == [("a\rb\n", 4), ("a\nb\n", 4), ("a\r\n", 3)]


def test_label_conditions_the_text_but_is_not_part_of_it(network, stepwise_nats):
    tokenizer = TOKENIZERS["char"]
    model, end = network(tokenizer, 1, 2), tokenizer.size
    calm, wild, free = LineScorer(model, tokenizer, LABELS).score(["calm\ta cat", "wild\ta cat", "a cat"])
    for score, label in ((calm, 0), (wild, 1)):
        assert score.text == "a cat\n"
        slow = stepwise_nats(model, [end + 1 + label, *tokenizer.encode("a cat"), end])
        assert np.abs(score.nats - slow).max() < 1e-5
    both = 0.75 * 2 ** -calm.bits + 0.25 * 2 ** -wild.bits
    assert free.text == "a cat\n" and free.bits == pytest.approx(-math.log2(both), abs=1e-4)


def test_tab_is_text_for_a_model_without_labels(network):
    tokenizer = TOKENIZERS["char"]
    score, = LineScorer(network(tokenizer, 1), tokenizer, None).score(["calm\ta"])
    assert score.text == "calm\ta\n" and len(score.nats) == 7


@pytest.mark.parametrize("lines, carry, expected", [
    (False, False, IndependentScorer), (False, True, CarriedScorer), (True, False, LineScorer)])
def test_scorer_depends_on_the_task_and_on_carry(network, lines, carry, expected):
    tokenizer = TOKENIZERS["byte"]
    assert type(make_scorer(network(tokenizer, 1), tokenizer, lines=lines, carry=carry)) is expected


def test_scorer_of_labelled_lines_reads_labels(network):
    tokenizer = TOKENIZERS["byte"]
    score, = make_scorer(network(tokenizer, 1, 2), tokenizer, LABELS, lines=True).score(["wild\tab"])
    assert score.text == "ab\n"
