"""Translation: the order of the targets, their independence of the batch, and their loss."""

import math

import numpy as np
import pytest

from charlm.errors import ModelFileError
from charlm.inference.pair_scoring import SOURCES_AT_ONCE
from charlm.inference.translation import LengthLimit, Translator
from charlm.text.pair_corpus import RATIO_OFFSET
from charlm.text.tokenizers.char import CharTokenizer, NFDTokenizer
from charlm.text.tokenizers.registry import train

SOURCE_TOKENIZER = NFDTokenizer.train(["abcdeé"], vocabulary_size=None)
TOKENIZER = CharTokenizer.train(["xyz "], vocabulary_size=None)
SOURCES = ["abc", "e", "eé" * 40, "cab" * 9, "e", "ddde", "ab", *("ace" * size for size in range(1, 30))]


@pytest.fixture
def translator(random_network):
    network = random_network(TOKENIZER.size + 1, source_vocabulary_size=SOURCE_TOKENIZER.size, encoder="bidirectional",
                             attention=True, scale=2.5)
    return Translator(network, TOKENIZER, SOURCE_TOKENIZER, LengthLimit(0.5))


def assert_same(found, expected):
    assert [(one.text, one.finished) for one in found] == [(one.text, one.finished) for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)


@pytest.mark.parametrize("beam", [1, 4])
def test_targets_are_in_input_order_and_do_not_depend_on_the_batch(translator, beam):
    together = translator.translate(SOURCES, beam=beam)
    assert len(together) == len(SOURCES) and len({found[0].text for found in together}) > 5
    for source, found in zip(SOURCES, together, strict=True):
        alone, = translator.translate([source], beam=beam)
        assert len(found) == beam
        assert_same(found, alone)
    for found, expected in zip(translator.translate(SOURCES[::-1], beam=beam), together[::-1], strict=True):
        assert_same(found, expected)


def test_order_is_kept_over_several_batches(translator):
    sources = [SOURCES[number * 7 % len(SOURCES)] for number in range(2 * SOURCES_AT_ONCE + 3)]
    alone = {source: translator.translate([source], beam=1)[0] for source in SOURCES}
    for source, found in zip(sources, translator.translate(sources, beam=1), strict=True):
        assert_same(found, alone[source])


@pytest.mark.parametrize("kind", ["char", "byte"])
def test_target_is_one_field_of_one_line(random_network, kind):
    tokenizer = train(kind, ["x\n\ty"], vocabulary_size=None)
    network = random_network(tokenizer.size + 1, source_vocabulary_size=SOURCE_TOKENIZER.size,
                             encoder="bidirectional", attention=True)
    network._head_bias = np.full(tokenizer.size + 1, -9, np.float32)
    network._head_bias[tokenizer.encode("\n\ty")] = 9
    found, = Translator(network, tokenizer, SOURCE_TOKENIZER, LengthLimit(0.5)).translate(["abc"], beam=2)
    assert set(found[0].text) == {"y"}


def test_no_sources_give_no_targets(translator):
    assert translator.translate([], beam=3) == []
    assert translator.nats([], []) == (0.0, 0)


def test_decomposed_source_is_read_like_a_composed_one(translator):
    assert translator.translate(["\u00e9a"], beam=2) == translator.translate(["e\u0301a"], beam=2)


def test_targets_are_ranked_by_score_and_contain_nothing_unknown(translator):
    translator._network._head_bias[TOKENIZER.unknown_id] = 50.0
    for penalty in (0.0, 1.5):
        for found in translator.translate(SOURCES[:8], beam=4, length_penalty=penalty):
            assert all(set(one.text) <= set("xyz ") for one in found)
            for one in found:
                assert one.score == pytest.approx(one.log_probability / (len(one.text) + 1) ** penalty)
            order = [(one.finished, one.score) for one in found]
            assert order == sorted(order, reverse=True)


def test_target_without_an_end_is_cut_off_at_the_limit(translator):
    translator._network._head_bias[TOKENIZER.size] = -np.inf
    sources = ["a", "abcd", "abc" * 4]
    limits = LengthLimit(0.5).tokens(np.array([len(source) for source in sources]))
    assert len(set(limits)) == 3
    for found, limit in zip(translator.translate(sources, beam=2), limits, strict=True):
        assert all(not one.finished and len(one.text) == limit for one in found)


def slow_nats(translator, source, target):
    """Return the nats of a target and its end by a slow loop in float64; an unknown token adds its surprisal."""
    ids = SOURCE_TOKENIZER.encode(source).astype(np.int64)
    state, nats = translator._network.encode(ids[None], np.array([len(ids)])), 0.0
    end = before = TOKENIZER.size
    for token in (*TOKENIZER.encode(target).tolist(), end):
        logits, state = translator._network.step(np.array([[before]]), state)
        odds = [math.exp(value) for value in logits[0, 0].tolist()]
        nats -= math.log(odds[token] / math.fsum(odds))
        nats += TOKENIZER.unknown_surprisal if token == TOKENIZER.unknown_id else 0.0
        before = token
    return nats


def test_nats_equal_a_slow_loop_over_every_target(translator):
    targets = ["xyz"[number % 3] * (number % 11) + " q"[number % 5 == 0] * (number % 2)
               for number in range(len(SOURCES))]
    assert "" in targets and any("q" in target for target in targets)
    nats, tokens = translator.nats(SOURCES, targets)
    assert tokens == sum(len(target) + 1 for target in targets)
    assert nats == pytest.approx(sum(map(slow_nats, [translator] * len(SOURCES), SOURCES, targets)), abs=1e-3)
    one, _ = translator.nats(SOURCES[:1], targets[:1])
    assert one == pytest.approx(slow_nats(translator, SOURCES[0], targets[0]), abs=1e-4)


def test_log_probability_of_a_finished_translation_is_its_loss(translator):
    found = translator.translate(SOURCES, beam=4)
    for source, targets in zip(SOURCES, found, strict=True):
        for one in targets:
            if one.finished:
                assert -one.log_probability == pytest.approx(translator.nats([source], [one.text])[0], abs=1e-4)
    assert sum(one.finished for targets in found for one in targets) > len(SOURCES)


def test_length_limit_exceeds_the_longest_seen_target_by_half():
    sources = np.array([1, 2, 30, 1000])
    for ratio in (0.0, 0.1, 1.5, 20.0):
        limits = LengthLimit.from_metadata({"target_ratio": ratio, "steps": 3}).tokens(sources)
        seen = ratio * (sources + RATIO_OFFSET)         # tokens of the longest target of such a source
        assert limits.dtype == np.int64 and (limits > 1.5 * seen).all() and (limits <= 1.5 * seen + 2).all()


@pytest.mark.parametrize("ratio", [None, "1", 1, True, -0.5, math.nan, math.inf, 1e30, [1.0]])
def test_metadata_without_a_valid_target_ratio_is_an_error(ratio):
    with pytest.raises(ModelFileError, match="how long its targets"):
        LengthLimit.from_metadata({"target_ratio": ratio})
    with pytest.raises(ModelFileError, match="how long its targets"):
        LengthLimit.from_metadata({"longest_target": 7})
