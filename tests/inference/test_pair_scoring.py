"""Targets that are given: their surprisal after a source, what was expected there, and the choice among several."""

import math

import numpy as np
import pytest

from charlm.errors import CorpusError, UsageError
from charlm.inference import pair_scoring
from charlm.inference.pair_scoring import PairReader, PairScorer, TargetClassifier, target_words
from charlm.inference.scoring import encode_sources
from charlm.inference.trace import PairTracer
from charlm.text.special_tokens import with_bos_eos
from charlm.text.tokenizers.char import CharTokenizer, NFDTokenizer
from charlm.text.tokenizers.word import WordTokenizer

SOURCE_TOKENIZER = NFDTokenizer.train(["abcdeé"], vocabulary_size=None)
TOKENIZER = CharTokenizer.train(["xyz "], vocabulary_size=None)
PAIRS = [("abc", "xy"), ("e", "z z"), ("eé" * 40, "x" * 50), ("cab" * 9, "y"), ("e", "?"),
         *(("ace" * size, "zy" * (9 - size)) for size in range(1, 9))]
LINES = ["\t".join(pair) for pair in PAIRS]


@pytest.fixture
def reader(random_network):
    network = random_network(TOKENIZER.size + 1, source_vocabulary_size=SOURCE_TOKENIZER.size, encoder="bidirectional",
                             attention=True, scale=2.5)
    return PairReader(network, TOKENIZER, SOURCE_TOKENIZER)


def test_a_target_costs_what_a_loop_over_its_tokens_adds_up(reader, stepwise_nats):
    scores = PairScorer(reader).score(LINES)
    for (source, target), score in zip(PAIRS, scores, strict=True):
        state = encode_sources(reader.network, [SOURCE_TOKENIZER.encode(source).astype(np.int64)])
        nats = stepwise_nats(reader.network, with_bos_eos(TOKENIZER, TOKENIZER.encode(target)), state)
        nats[:-1][TOKENIZER.encode(target) == TOKENIZER.unknown_id] += TOKENIZER.unknown_surprisal
        assert score.nats == pytest.approx(nats, abs=1e-4)
        assert score.text == target + "\n" and score.characters == len(target) + 1


def test_pairs_are_scored_in_order_and_alone_as_together(reader):
    together = PairScorer(reader).score(LINES)
    for line, score in zip(LINES, together, strict=True):
        assert PairScorer(reader).score([line])[0].bits == pytest.approx(score.bits, abs=1e-4)
    assert len({round(score.bits_per_character, 3) for score in together}) == len(LINES)


@pytest.mark.parametrize("line, problem", [("ab", "no tab"), ("a\tx\ty", "2 tabs"), ("\tx", "an empty source"),
                                           ("a\t", "an empty target"), (" ", "no tab")])
def test_a_line_that_is_no_pair_is_refused_and_told_what_a_pair_is(reader, line, problem):
    for scorer in (PairScorer(reader), PairTracer(reader.network, TOKENIZER, SOURCE_TOKENIZER)):
        assert scorer.problem(line) == f"{problem}; a line is source<TAB>target"
        with pytest.raises(CorpusError, match=problem):
            scorer.score(["a\tx", line])


def test_blank_lines_cost_nothing(reader):
    for scorer in (PairScorer(reader), PairTracer(reader.network, TOKENIZER, SOURCE_TOKENIZER)):
        blank, score, other = scorer.score(["", "a\tx", ""])
        assert (blank.bits, blank.characters, other.characters, score.characters) == (0, 0, 0, 2)
        assert scorer.problem("") == ""


def test_a_trace_has_the_nats_of_the_score_and_what_was_expected(reader):
    traces = PairTracer(reader.network, TOKENIZER, SOURCE_TOKENIZER, top=TOKENIZER.size + 1, units=[3]).score(LINES)
    for trace, score in zip(traces, PairScorer(reader).score(LINES), strict=True):
        assert trace.nats == pytest.approx(score.nats, abs=1e-4) and trace.text == score.text
        odds = trace.top_probabilities
        assert trace.entropy == pytest.approx(-(odds * np.log(odds)).sum(axis=1), abs=1e-4)
        assert [ids[rank - 1] for ids, rank in zip(trace.top_ids, trace.rank, strict=True)] == trace.ids.tolist()
        assert trace.units.shape == (len(trace.ids), 1)


@pytest.mark.parametrize("rows_at_once", [1, 10, 4096])
def test_posteriors_are_probabilities_over_the_candidates(reader, monkeypatch, rows_at_once):
    monkeypatch.setattr(pair_scoring, "ROWS_AT_ONCE", rows_at_once)
    names, sources = ["x", "zz", "y x", "x" * 30], [source for source, _ in PAIRS]
    posteriors = TargetClassifier(reader, names).posteriors(sources)
    assert posteriors.sum(axis=1) == pytest.approx(1)
    for source, row in zip(sources, posteriors, strict=True):
        scores = PairScorer(reader).score([f"{source}\t{name}" for name in names])
        odds = np.array([math.exp(-score.nats.sum()) for score in scores])
        assert row == pytest.approx(odds / odds.sum(), abs=1e-4)


def test_no_sources_have_no_posteriors(reader):
    assert TargetClassifier(reader, ["x", "y"]).posteriors([]).shape == (0, 2)


def test_only_a_model_of_words_has_a_list_of_its_targets():
    assert target_words(WordTokenizer.train(["rain dry", "dry"], vocabulary_size=None)) == ["dry", "rain"]
    with pytest.raises(UsageError, match="--among"):
        target_words(TOKENIZER)
