"""Adaptive scores of texts: the same however the texts are cut and batched, with any tokenizer and cell."""

import numpy as np
import pytest

from charlm.adaptation.adapter import Adapter
from charlm.adaptation.head import FINE_SCALE, quantise_states
from charlm.adaptation.network import AdaptedNetwork
from charlm.adaptation.scoring import AdaptiveReader, make_adaptive_scorer, row_states
from charlm.config import AdaptationSettings, ModelConfig
from charlm.inference.network import Network
from charlm.inference.scoring import token_nats
from charlm.text.tokenizers.registry import train
from tests.helpers.models import random_weights

TEXT = "a rose is a rose is a rose, and roses arise; é"
CELLS = [{}, {"cell": "gru"}, {"cell": "rnn", "nonlinearity": "relu"},
         {"encoder": "bidirectional", "attention": True, "window": 5}]


def build(kind="char", extra=0, **options):
    """Return a network and a tokenizer that fit each other."""
    tokenizer = train(kind, [TEXT + "\n"], vocabulary_size=None)
    size = tokenizer.size + extra
    source = {"source_vocabulary_size": size} if options.get("window") else {}
    config = ModelConfig(size, **{"hidden_size": 12, "embedding_size": 6} | options | source)
    return Network(config, random_weights(config, scale=0.2 if config.nonlinearity == "relu" else 0.4)), tokenizer


def adapter_of(network):
    return Adapter(*network.head, AdaptationSettings(), state_scale=FINE_SCALE)


def scorer_of(network, tokenizer, **options):
    return make_adaptive_scorer(network, tokenizer, adapter_of(network), **options)


@pytest.mark.parametrize("options", CELLS, ids=str)
@pytest.mark.parametrize("kind", ["char", "byte"])
def test_a_text_has_the_same_nats_however_it_is_cut(kind, options):
    network, tokenizer = build(kind, **options)
    ids = tokenizer.encode(TEXT * 3).astype(np.int64)
    static, adapted = AdaptiveReader(network, tokenizer, adapter_of(network)).both(ids)
    reader = AdaptiveReader(network, tokenizer, adapter_of(network))
    cut = np.concatenate([reader.nats(piece) for piece in np.split(ids, [1, 2, 40, 77])])
    assert np.abs(cut - adapted).max() < 1e-5
    logits, _ = network.step(np.concatenate([[tokenizer.start_id], ids[:-1]])[None], network.start(1))
    assert np.abs(static - token_nats(logits[0], ids, tokenizer)).max() < 1e-5
    assert np.abs(static[:32] - adapted[:32]).max() < 1e-3 and adapted[64:].mean() < static[64:].mean()


@pytest.mark.parametrize("lines", [False, True])
def test_lines_have_the_same_scores_in_any_batches(lines):
    network, tokenizer = build(extra=1)
    texts = ["a rose", "", "is a rose", "é" * 3, "a rose " * 200, "roses", "a rose", "arise"]
    whole = scorer_of(network, tokenizer, lines=lines).score(texts)
    single = scorer_of(network, tokenizer, lines=lines)
    for text, score in zip(texts, whole, strict=True):
        again = single.score([text])[0]
        assert np.abs(again.nats - score.nats).max(initial=0) < 1e-5 and again.ids.tolist() == score.ids.tolist()
    assert whole[6].bits < whole[0].bits - 0.5


def test_the_order_of_lines_matters_and_carrying_keeps_the_context():
    network, tokenizer = build()
    texts = ["a rose is a rose\n"] * 3
    carried, alone = (scorer_of(network, tokenizer, carry=carry).score(texts) for carry in (True, False))
    assert abs(carried[0].bits - alone[0].bits) < 1e-9 and abs(carried[1].bits - alone[1].bits) > 0.01


def test_an_unknown_character_costs_what_it_costs_without_adaptation():
    network, tokenizer = build()
    reader = AdaptiveReader(network, tokenizer, adapter_of(network))
    static, adapted = reader.both(np.array([tokenizer.unknown_id]))
    assert adapted[0] == pytest.approx(static[0], abs=1e-3) and adapted[0] > tokenizer.unknown_surprisal


def test_states_of_rows_are_those_of_single_rows():
    network, _ = build()
    rows = [np.arange(length) % 9 for length in (1, 5, 1200, 2, 5)]
    for states, row in zip(row_states(network, rows), rows, strict=True):
        hidden, _ = network.hidden(row[None, :-1], network.start(1)) if len(row) > 1 else (np.zeros((1, 0, 12)), None)
        assert np.abs(states - quantise_states(hidden[0])).max(initial=0) <= 1 and len(states) == len(row) - 1


@pytest.mark.parametrize("options", [{}, CELLS[3]], ids=str)
def test_an_adapted_network_predicts_as_its_adapter(options):
    network, tokenizer = build(**options)
    ids, adapter = tokenizer.encode(TEXT * 4).astype(np.int64), adapter_of(network)
    AdaptiveReader(network, tokenizer, adapter).nats(ids)
    adapter.flush()
    adapted = AdaptedNetwork(network, adapter)
    read = np.concatenate([[tokenizer.start_id], ids]).astype(np.int64)
    logits, state = adapted.step(read[None], adapted.start(1))
    one_by_one, other = [], adapted.start(2).select([1, 0])
    for token in read:
        single, other = adapted.step(np.array([[token], [token]]), other)
        one_by_one.append(single[0, 0])
    assert np.abs(np.array(one_by_one) - logits[0]).max() < 1e-4
    static, _ = network.step(read[None], network.start(1))
    nats = [token_nats(values[0, 32:-1], ids[32:], tokenizer).mean() for values in (logits, static)]
    assert nats[0] < nats[1] - 0.5
    assert np.array_equal(state.recent[0, :3], ids[:-4:-1])
