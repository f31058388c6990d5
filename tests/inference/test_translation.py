"""Sources to targets: their order, their independence of each other, and their loss."""

import math

import numpy as np
import pytest

from charlm.errors import ModelFileError
from charlm.inference.translation import SOURCES_AT_ONCE as AT_ONCE, LengthLimit, Translator
from charlm.text.pair_corpus import RATIO_OFFSET
from charlm.text.tokenizers.char import CharTokenizer, NFDTokenizer
from charlm.text.tokenizers.registry import train

READS = NFDTokenizer.train(["abcdeé"], vocabulary_size=None)
WRITES = CharTokenizer.train(["xyz "], vocabulary_size=None)
SOURCES = ["abc", "e", "eé" * 40, "cab" * 9, "e", "ddde", "ab", *("ace" * size for size in range(1, 30))]


@pytest.fixture
def translator(random_network):
    network = random_network(WRITES.size + 1, source_vocabulary_size=READS.size, encoder="bidirectional",
                             attention=True, scale=2.5)
    return Translator(network, WRITES, READS, LengthLimit(0.5))


def assert_same(found, expected):
    assert [(one.text, one.finished) for one in found] == [(one.text, one.finished) for one in expected]
    for one, other in zip(found, expected):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)


@pytest.mark.parametrize("beam", [1, 4])
def test_targets_come_in_the_order_of_their_sources_as_each_has_them_alone(translator, beam):
    together = translator.translate(SOURCES, beam=beam)
    assert len(together) == len(SOURCES) and len({found[0].text for found in together}) > 5
    for source, found in zip(SOURCES, together):
        alone, = translator.translate([source], beam=beam)
        assert len(found) == beam
        assert_same(found, alone)
    for found, expected in zip(translator.translate(SOURCES[::-1], beam=beam), together[::-1]):
        assert_same(found, expected)


def test_more_sources_than_are_searched_at_once_keep_their_order(translator):
    sources = [SOURCES[number * 7 % len(SOURCES)] for number in range(2 * AT_ONCE + 3)]
    alone = {source: translator.translate([source], beam=1)[0] for source in SOURCES}
    for source, found in zip(sources, translator.translate(sources, beam=1)):
        assert_same(found, alone[source])


@pytest.mark.parametrize("kind", ["char", "byte"])
def test_a_target_is_one_field_of_one_line(random_network, kind):
    writes = train(kind, ["x\n\ty"], vocabulary_size=None)
    network = random_network(writes.size + 1, source_vocabulary_size=READS.size, encoder="bidirectional", attention=True)
    network._head_bias = np.full(writes.size + 1, -9, np.float32)
    network._head_bias[writes.encode("\n\ty")] = 9
    found, = Translator(network, writes, READS, LengthLimit(0.5)).translate(["abc"], beam=2)
    assert set(found[0].text) == {"y"}


def test_no_sources_have_no_targets(translator):
    assert translator.translate([], beam=3) == []
    assert translator.nats([], []) == (0.0, 0)


def test_a_decomposed_source_is_read_like_a_composed_one(translator):
    assert translator.translate(["\u00e9a"], beam=2) == translator.translate(["e\u0301a"], beam=2)


def test_a_target_is_ranked_by_its_score_and_holds_nothing_unknown(translator):
    translator._network._head_bias[WRITES.unknown_id] = 50.0
    for penalty in (0.0, 1.5):
        for found in translator.translate(SOURCES[:8], beam=4, length_penalty=penalty):
            assert all(set(one.text) <= set("xyz ") for one in found)
            for one in found:
                assert one.score == pytest.approx(one.log_probability / (len(one.text) + 1) ** penalty)
            order = [(one.finished, one.score) for one in found]
            assert order == sorted(order, reverse=True)


def test_a_target_that_finds_no_end_is_cut_off_at_the_limit(translator):
    translator._network._head_bias[WRITES.size] = -np.inf
    sources = ["a", "abcd", "abc" * 4]
    limits = LengthLimit(0.5).tokens(np.array([len(source) for source in sources]))
    assert len(set(limits)) == 3
    for found, limit in zip(translator.translate(sources, beam=2), limits):
        assert all(not one.finished and len(one.text) == limit for one in found)


def slowly(translator, source, target):
    """Nats of a target and its end, one step a token, in float64; an unknown one costs its spelling too."""
    ids = READS.encode(source).astype(np.int64)
    state, nats = translator._network.encode(ids[None], np.array([len(ids)])), 0.0
    end = before = WRITES.size
    for token in (*WRITES.encode(target).tolist(), end):
        logits, state = translator._network.step(np.array([[before]]), state)
        odds = [math.exp(value) for value in logits[0, 0].tolist()]
        nats -= math.log(odds[token] / math.fsum(odds))
        nats += WRITES.unknown_surprisal if token == WRITES.unknown_id else 0.0
        before = token
    return nats


def test_nats_are_the_surprisals_of_every_target_stepped_by_hand(translator):
    targets = ["xyz"[number % 3] * (number % 11) + " q"[number % 5 == 0] * (number % 2)
               for number in range(len(SOURCES))]
    assert "" in targets and any("q" in target for target in targets)
    nats, tokens = translator.nats(SOURCES, targets)
    assert tokens == sum(len(target) + 1 for target in targets)
    assert nats == pytest.approx(sum(map(slowly, [translator] * len(SOURCES), SOURCES, targets)), abs=1e-3)
    one, _ = translator.nats(SOURCES[:1], targets[:1])
    assert one == pytest.approx(slowly(translator, SOURCES[0], targets[0]), abs=1e-4)


def test_log_probability_of_a_finished_translation_is_its_loss(translator):
    found = translator.translate(SOURCES, beam=4)
    for source, targets in zip(SOURCES, found):
        for one in targets:
            if one.finished:
                assert -one.log_probability == pytest.approx(translator.nats([source], [one.text])[0], abs=1e-4)
    assert sum(one.finished for targets in found for one in targets) > len(SOURCES)


def test_a_limit_leaves_room_for_half_as_many_tokens_again_as_were_ever_seen():
    sources = np.array([1, 2, 30, 1000])
    for ratio in (0.0, 0.1, 1.5, 20.0):
        limits = LengthLimit.from_metadata({"target_ratio": ratio, "steps": 3}).tokens(sources)
        seen = ratio * (sources + RATIO_OFFSET)         # tokens of the longest target of such a source
        assert limits.dtype == np.int64 and (limits > 1.5 * seen).all() and (limits <= 1.5 * seen + 2).all()


@pytest.mark.parametrize("ratio", [None, "1", 1, True, -0.5, math.nan, math.inf, 1e30, [1.0]])
def test_a_file_that_does_not_say_how_long_targets_are_is_refused(ratio):
    with pytest.raises(ModelFileError, match="how long its targets"):
        LengthLimit.from_metadata({"target_ratio": ratio})
    with pytest.raises(ModelFileError, match="how long its targets"):
        LengthLimit.from_metadata({"longest_target": 7})
