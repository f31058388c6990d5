"""Scores of lines: cold, carried, by a model of lines; and the parts of a text that its tokens stand for."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.inference.line_scoring import CarriedScorer, IndependentScorer, LineScorer, TextScore, bits_by_span, make_scorer
from charlm.inference.text_scoring import score_carried
from charlm.text.labels import Labels
from charlm.text.special_tokens import with_bos_eos
from charlm.text.tokenizers.registry import train

KINDS = ("char", "byte", "bpe", "unigram")
BOOK = "the cat sat on the mat, señor;\nno dog ate what the cat ate\n" * 20
TOKENIZERS = {kind: train(kind, [BOOK], vocabulary_size=None) for kind in KINDS}
TEXTS = ["the cat sat\n", "\n", "x\n", "a dog 🐈 \u2581\0 \ufffd\n", "crlf\r\n", "\t\t\n", "ate, ate\n", "señor"]
WILD = st.text(st.sampled_from("the cat, é🐈\n\t\r\0\u2581\u0301\ufffd\ufeff") | st.characters(codec="utf-8"), max_size=30)
LABELS = Labels(("calm", "wild"), (3, 1))


@pytest.fixture(params=KINDS)
def tokenizer(request):
    return TOKENIZERS[request.param]


@pytest.fixture
def network(random_network):
    """A function from a tokenizer, and ids beyond its own, to a network."""
    return lambda tokenizer, besides=0, labels=0: random_network(tokenizer.size + besides, labels=labels, scale=2)


def scored(tokenizer, text, *, end=False):
    """With costs that tell tokens apart."""
    ids = tokenizer.encode(text)
    ids = with_bos_eos(tokenizer, ids)[1:] if end else ids
    return TextScore(text + "\n" * end, ids, 2.0 ** -np.arange(len(ids)))


def test_bits_are_nats_over_log_two_and_characters_those_of_the_text():
    score = TextScore("ab\n", np.arange(3), np.log([2, 4, 16]))
    assert score.bits == pytest.approx(1 + 2 + 4) and score.characters == 3
    assert score.bits_per_character == pytest.approx(7 / 3)


def test_no_text_has_no_bits():
    empty = TextScore("", np.arange(0), np.zeros(0))
    assert (empty.bits, empty.characters, empty.bits_per_character) == (0, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(text=WILD, end=st.booleans())
def test_parts_of_any_text_join_to_it_and_their_bits_add_up(kind, text, end):
    score = scored(TOKENIZERS[kind], text, end=end)
    parts = list(bits_by_span(score, TOKENIZERS[kind]))
    assert "".join(part for part, _ in parts) == score.text
    assert all(part for part, _ in parts)
    assert math.fsum(bits for _, bits in parts) == pytest.approx(score.bits)
    if kind in ("char", "byte"):
        assert [part for part, _ in parts] == [*score.text]


def test_the_bytes_of_a_character_are_one_part():
    """By hand: one byte, two bytes, one, four, and the end of the line."""
    byte = TOKENIZERS["byte"]
    ids = with_bos_eos(byte, byte.encode("aéb🐈"))[1:]
    score = TextScore("aéb🐈\n", ids, np.array([1, 2, 4, 8, 16, 32, 64, 128, 256]) * math.log(2))
    assert list(bits_by_span(score, byte)) == [
        ("a", 1), ("é", pytest.approx(6)), ("b", 8), ("🐈", pytest.approx(240)), ("\n", 256)]


def test_an_unknown_character_is_shown_as_itself():
    score = scored(TOKENIZERS["char"], "cat🐈é!")
    assert [part for part, _ in bits_by_span(score, TOKENIZERS["char"])] == [*"cat🐈é!"]


def test_pieces_are_parts_of_several_characters():
    parts = [part for part, _ in bits_by_span(scored(TOKENIZERS["bpe"], "the cat sat\n"), TOKENIZERS["bpe"])]
    assert len(parts) < len("the cat sat\n") and parts[-1] == "\n"


def unknown_cost(tokenizer, ids):
    return tokenizer.unknown_surprisal * (ids == tokenizer.unknown_id) if tokenizer.unknown_id is not None else 0


def test_cold_each_text_stands_behind_the_start_token(network, stepped, tokenizer):
    model = network(tokenizer)
    for score, text in zip(IndependentScorer(model, tokenizer).score(TEXTS), TEXTS, strict=True):
        ids = tokenizer.encode(text)
        assert score.text == text and score.ids.tolist() == ids.tolist()
        slow = stepped(model, [tokenizer.start_id, *ids]) + unknown_cost(tokenizer, ids)
        assert np.abs(score.nats - slow).max(initial=0) < 1e-5


def test_carried_texts_cost_what_one_text_does_however_they_are_handed_over(network, tokenizer):
    model, whole = network(tokenizer), "".join(TEXTS)
    expected = np.concatenate(list(score_carried(model, tokenizer, [tokenizer.encode(whole).astype(np.int64)])))
    at_once = CarriedScorer(model, tokenizer).score(TEXTS)
    scorer = CarriedScorer(model, tokenizer)
    by_and_by = [score for start, stop in ((0, 0), (0, 1), (1, 5), (5, 5), (5, 8)) for score in scorer.score(TEXTS[start:stop])]
    for scores in (at_once, by_and_by):
        assert [score.text for score in scores] == TEXTS
        assert [len(score.nats) for score in scores] == [len(tokenizer.encode(text)) for text in TEXTS]
        assert np.abs(np.concatenate([score.nats for score in scores]) - expected).max() < 1e-5
        assert sum(score.bits for score in scores) == pytest.approx(expected.sum() / math.log(2))
    cold = IndependentScorer(model, tokenizer).score(TEXTS)
    assert cold[0].bits == pytest.approx(at_once[0].bits) and cold[6].bits != pytest.approx(at_once[6].bits)


def test_no_texts_have_no_scores_and_empty_ones_have_empty_ones(network, tokenizer):
    model = network(tokenizer)
    for scorer in (IndependentScorer(model, tokenizer), CarriedScorer(model, tokenizer)):
        assert scorer.score([]) == []
        assert [(score.bits, score.characters) for score in scorer.score(["", ""])] == [(0, 0)] * 2
    assert LineScorer(model, tokenizer, None).score([]) == []


def test_a_line_is_scored_between_its_begin_and_its_end_which_counts(network, stepped, tokenizer):
    model, end = network(tokenizer, 1), tokenizer.size
    lines = [text.removesuffix("\n").removesuffix("\r") for text in TEXTS]
    for score, line in zip(LineScorer(model, tokenizer, None).score(lines), lines, strict=True):
        ids = tokenizer.encode(line)
        slow = stepped(model, [end, *ids, end]) + unknown_cost(tokenizer, np.array([*ids, end]))
        assert score.text == line + "\n" and score.characters == len(line) + 1
        assert np.abs(score.nats - slow).max() < 1e-5
        assert [part for part, _ in bits_by_span(score, tokenizer)][-1] == "\n"


@pytest.mark.parametrize("labels", [None, LABELS])
def test_a_line_has_its_end_counted_and_a_blank_one_counts_where_there_are_no_labels(network, labels):
    tokenizer = TOKENIZERS["char"]
    scores = LineScorer(network(tokenizer, 1, 2 if labels else 0), tokenizer, labels).score(["a cat", "", "a cat"])
    assert [score.text for score in scores] == ["a cat\n", "" if labels else "\n", "a cat\n"]
    assert scores[0].bits == pytest.approx(scores[2].bits, abs=1e-4)
    assert (scores[1].bits == 0) == bool(labels)             # a blank line has no label, and does not count


def test_carriage_returns_and_newlines_within_a_line_are_characters(network):
    tokenizer = TOKENIZERS["char"]
    scores = LineScorer(network(tokenizer, 1), tokenizer, None).score(["a\rb", "a\nb", "a\r"])
    assert [(score.text, len(score.nats)) for score in scores] == [("a\rb\n", 4), ("a\nb\n", 4), ("a\r\n", 3)]


def test_a_label_is_no_part_of_the_text_but_conditions_it(network, stepped):
    tokenizer = TOKENIZERS["char"]
    model, end = network(tokenizer, 1, 2), tokenizer.size
    calm, wild, free = LineScorer(model, tokenizer, LABELS).score(["calm\ta cat", "wild\ta cat", "a cat"])
    for score, label in ((calm, 0), (wild, 1)):
        assert score.text == "a cat\n"
        slow = stepped(model, [end + 1 + label, *tokenizer.encode("a cat"), end])
        assert np.abs(score.nats - slow).max() < 1e-5
    both = 0.75 * 2 ** -calm.bits + 0.25 * 2 ** -wild.bits
    assert free.text == "a cat\n" and free.bits == pytest.approx(-math.log2(both), abs=1e-4)


def test_a_model_without_labels_takes_a_tab_for_text(network):
    tokenizer = TOKENIZERS["char"]
    score, = LineScorer(network(tokenizer, 1), tokenizer, None).score(["calm\ta"])
    assert score.text == "calm\ta\n" and len(score.nats) == 7


@pytest.mark.parametrize("lines, carry, expected", [
    (False, False, IndependentScorer), (False, True, CarriedScorer), (True, False, LineScorer)])
def test_the_scorer_is_chosen_by_the_task_and_by_carry(network, lines, carry, expected):
    tokenizer = TOKENIZERS["byte"]
    assert type(make_scorer(network(tokenizer, 1), tokenizer, lines=lines, carry=carry)) is expected


def test_a_labelled_model_of_lines_scores_by_its_labels(network):
    tokenizer = TOKENIZERS["byte"]
    score, = make_scorer(network(tokenizer, 1, 2), tokenizer, LABELS, lines=True).score(["wild\tab"])
    assert score.text == "ab\n"
