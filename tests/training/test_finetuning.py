"""A model whose vocabulary has grown is the model it was, on all that it knew."""

import dataclasses
import functools
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.config import ModelConfig
from charlm.errors import UsageError
from charlm.inference.network import Network
from charlm.modelfile import Model, check_consistency
from charlm.text.line_corpus import build_line_corpus
from charlm.text.pair_corpus import build_pair_corpus
from charlm.text.reading import Text
from charlm.text.special_tokens import eos_id, label_id, mask_id, vocabulary_sizes
from charlm.text.text_corpus import build_text_corpus as prepare
from charlm.text.tokenizers.registry import Extendable, train
from charlm.training.finetuning import initial_weights
from charlm.training.options import TrainingOptions, choose_model

# What is new stands before, between and behind what was known; some of that is not said again.
STREAM = ("bad cab\nfed\n" * 4, "!bé ga\U0010ffff\tcA\n" * 4)
LINES = ("bad\ncab\nfed\n", "!bé\nga\U0010ffff\tcA\n")
LABELS = ("D\tbad\nB\tcab\nB\tfed\n", "E\t!bé\nC\tga\nA\tcA\nD\tbb\n")
PAIRS = ("bád\tB D\ncab\tD A B\nfed\tD\neda\tA B\ndab\tB\n", "!bé\tB C\ngü\tA 0 D\ncA\tZ\nxé\tA\n")
FILL = ("bad cab\nfed bad\nface bed\n" * 2, "!bé ga\ncA dA\nbe é\n" * 2)
NETWORK = {"hidden": 6, "embedding": 6, "layers": 1, "bptt": 4, "batch_size": 2}


@dataclasses.dataclass(frozen=True)
class Kind:
    task: str
    texts: tuple                        # of the model, and of what it is to learn further
    prepare: object
    wishes: dict = dataclasses.field(default_factory=dict)


def pairs_written(kind):
    return lambda texts, tokenizer=kind, **options: build_pair_corpus(texts, tokenizer=tokenizer, **options)


KINDS = {
    "stream": Kind("stream", STREAM, prepare),
    "gru stream": Kind("stream", STREAM, prepare, {"cell": "gru", "layers": 2}),
    "rnn stream": Kind("stream", STREAM, prepare, {"cell": "rnn"}),
    "windowed stream": Kind("stream", STREAM, prepare, {"encoder": "bidirectional"}),
    "lines": Kind("lines", LINES, functools.partial(build_line_corpus, labelled=False)),
    "labels": Kind("lines", LABELS, functools.partial(build_line_corpus, labelled=True)),
    "pairs": Kind("pairs", PAIRS, pairs_written("char")),
    "pairs of words": Kind("pairs", PAIRS, pairs_written("word")),
    "pairs read by the decoder": Kind("pairs", PAIRS, pairs_written("char"), {"encoder": "shared"}),
    "fill": Kind("fill", FILL, functools.partial(prepare, validation=0.4)),
    "fill read by the decoder": Kind("fill", FILL, functools.partial(prepare, validation=0.4), {"encoder": "shared"}),
}
TABLES = {"embedding.weight": "reads", "head.weight": "writes", "head.bias": "writes",
          "encoder.embedding.weight": "source"}


@dataclasses.dataclass(frozen=True)
class Grown:
    """A model, a corpus that has more tokens, and the weights that a network of both begins with."""

    model: Model
    corpus: object
    config: ModelConfig
    weights: dict


def random_weights(config, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in config.parameter_shapes().items()}


def known(task, of, part):
    """The id of everything that a part of the network knows, by what it stands for."""
    tokenizer = of.source_tokenizer if part == "source" else of.tokenizer
    ids = {("unknown", ""): tokenizer.unknown_id}
    for number in set(range(tokenizer.size)) - {tokenizer.unknown_id}:
        text = tokenizer.display(number)
        [ids["token", text]] = tokenizer.encode(text)
    if task != "stream" and (part != "source" or task == "fill"):
        ids["boundary", ""] = eos_id(tokenizer)
    if task == "fill" and part == "source":
        ids["gap", ""] = mask_id(tokenizer)
    if part == "reads" and of.labels:
        ids |= {("label", name): label_id(tokenizer, number) for number, name in enumerate(of.labels.names)}
    return ids


def tables(grown):
    """Of every tensor that has a row for each id: old rows, new rows, and the ids of both by what they stand for."""
    task = grown.model.task
    for name in TABLES.keys() & grown.weights.keys():
        part = TABLES[name]
        old, new = grown.model.weights[name], grown.weights[name]
        was, now = known(task, grown.model, part), known(task, grown.corpus, part)
        assert sorted(was.values()) == list(range(len(old))) and sorted(now.values()) == list(range(len(new)))
        yield name, old, new, was, now


@pytest.fixture(scope="module")
def model_of(tmp_path_factory):
    """A function from a kind to a model of random weights, and a function that reads another text for it."""
    folder = tmp_path_factory.mktemp("texts")

    def read(kind, text, **options):
        (folder / "text").write_text(text, encoding="utf-8", newline="")
        return kind.prepare([Text(str(folder / "text"))], **options)

    def make(name, tied=False):
        kind = KINDS[name]
        corpus = read(kind, kind.texts[0])
        config = choose_model(corpus, wishes_of(kind, tied))
        model = Model(config, corpus.tokenizer, random_weights(config), {}, kind.task, corpus.separate_source,
                      corpus.labels)
        check_consistency(model)
        known_already = {"tokenizer": Extendable(model.tokenizer)}
        if kind.task == "pairs":
            known_already["source_tokenizer"] = Extendable(model.separate_source)
        if model.labels:
            known_already["labels"] = model.labels
        return model, lambda text: read(kind, text, **known_already)
    return make


def wishes_of(kind, tied=False, **others):
    return TrainingOptions(**{"task": kind.task, "tied": tied} | NETWORK | kind.wishes | others)


@pytest.fixture(scope="module", params=[(name, tied) for name in KINDS for tied in (False, True)],
                ids=lambda which: f"{which[0]}{', tied' if which[1] else ''}")
def grown(request, model_of):
    name, tied = request.param
    model, read = model_of(name, tied)
    corpus = read(KINDS[name].texts[1])
    config = choose_model(corpus, wishes_of(KINDS[name], tied))
    return Grown(model, corpus, config, initial_weights(model, corpus, config))


def test_all_that_was_known_keeps_its_row(grown):
    for name, old, new, was, now in tables(grown):
        assert was.keys() < now.keys(), name
        for what, number in was.items():
            assert old[number].tobytes() == new[now[what]].tobytes(), (name, what)


def test_all_that_is_new_begins_at_the_mean_of_all_rows(grown):
    for name, old, new, was, now in tables(grown):
        mean = sum(row.astype(np.float64) for row in old) / len(old)
        for what in now.keys() - was.keys():
            assert np.allclose(new[now[what]], mean, rtol=0, atol=1e-6), (name, what)


def test_new_tokens_and_labels_move_the_old_ones(grown):
    moved = {what[0] for _, _, _, was, now in tables(grown) for what in was if was[what] != now[what]}
    special = {"stream": set(), "lines": {"boundary"}, "pairs": {"boundary"}, "fill": {"boundary", "gap"}}
    assert moved == {"token"} | special[grown.model.task] | ({"label"} if grown.model.labels else set())


def test_all_else_is_the_models_bit_by_bit(grown):
    assert {name: values.shape for name, values in grown.weights.items()} == grown.config.parameter_shapes()
    assert {values.dtype.name for values in grown.weights.values()} == {"float32"}
    others = grown.weights.keys() - TABLES.keys()
    assert any(name.startswith("decoder.") for name in others)
    for name in others:
        assert grown.weights[name].tobytes() == grown.model.weights[name].tobytes(), name


def logits_of(task, of, network, written, source):
    """What a network says after each token of a text, for the tokens of `of` by what they stand for."""
    tokens = np.array([of.tokenizer.encode(written)])
    state = network.start(1)
    if task in ("pairs", "fill"):
        read = of.source_tokenizer.encode(source).tolist()
        if task == "fill":
            read = [eos_id(of.tokenizer), *read, mask_id(of.tokenizer), eos_id(of.tokenizer)]
        state = network.encode(np.array([read]), np.array([len(read)]))
    if task != "stream":
        begin = label_id(of.tokenizer, of.labels.index("D")) if of.labels else eos_id(of.tokenizer)
        tokens = np.concatenate([[[begin]], tokens], axis=1)
    logits, _ = network.step(tokens, state)
    return {what: logits[0, :, number] for what, number in known(task, of, "writes").items()}


def test_before_an_update_the_network_says_of_old_tokens_what_the_model_says(grown):
    task, model = grown.model.task, grown.model
    written, source = model.tokenizer.known_text(), model.source_tokenizer.known_text()
    before = logits_of(task, model, Network(model.config, model.weights), written, source)
    now = logits_of(task, grown.corpus, Network(grown.config, grown.weights), written, source)
    for what, values in before.items():
        assert np.allclose(values, now[what], rtol=0, atol=1e-5), what
    assert np.ptp(list(before.values()), axis=0).min() > 0.1


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_the_same_text_again_begins_with_the_models_weights(model_of, name, tied):
    model, read = model_of(name, tied)
    weights = initial_weights(model, read(KINDS[name].texts[0]), model.config)
    assert {tensor: values.tobytes() for tensor, values in weights.items()} == \
        {tensor: values.tobytes() for tensor, values in model.weights.items()}


@pytest.mark.parametrize("name", ["stream", "labels", "fill"])
def test_the_model_is_left_as_it_was(model_of, name):
    model, read = model_of(name)
    before = {tensor: values.copy() for tensor, values in model.weights.items()}
    corpus = read(KINDS[name].texts[1])
    initial_weights(model, corpus, choose_model(corpus, wishes_of(KINDS[name])))
    assert all(np.array_equal(values, before[tensor]) for tensor, values in model.weights.items())


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" "), min_size=1, max_size=5)
texts = st.lists(words, min_size=1, max_size=5).map(" ".join)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["char", "word"]), texts, texts, texts, texts)
def test_pairs_of_any_texts_keep_what_they_knew(kind, source, target, more_sources, more_targets):
    before = types.SimpleNamespace(tokenizer=train(kind, [target], vocabulary_size=None), labels=None,
                                   source_tokenizer=train("nfd", [source], vocabulary_size=None))
    after = types.SimpleNamespace(
        tokenizer=train(Extendable(before.tokenizer), [more_targets], vocabulary_size=None), labels=None,
        source_tokenizer=train(Extendable(before.source_tokenizer), [more_sources], vocabulary_size=None))
    config, wider = (ModelConfig(writes, num_layers=1, embedding_size=2, hidden_size=2, encoder="stacked",
                                 source_vocabulary_size=reads)
                     for writes, reads in (vocabulary_sizes("pairs", of.tokenizer, of.source_tokenizer)
                                           for of in (before, after)))
    model = Model(config, before.tokenizer, random_weights(config), {}, "pairs", before.source_tokenizer)
    grown = Grown(model, after, wider, initial_weights(model, after, wider))
    for name, old, new, was, now in tables(grown):
        for what, number in now.items():
            row = old[was[what]] if what in was else old.astype(np.float64).mean(axis=0)
            assert np.allclose(new[number], row, rtol=0, atol=1e-6), (name, what)


# Refused


@pytest.mark.parametrize(("name", "others"), [
    ("stream", {"hidden": 7}), ("stream", {"embedding": 7}), ("stream", {"layers": 2}), ("stream", {"cell": "gru"}),
    ("stream", {"cell": "rnn"}), ("stream", {"tied": True}), ("stream", {"encoder": "stacked"}),
    ("windowed stream", {"encoder": "stacked"}), ("windowed stream", {"encoder": "shared"}),
    ("pairs", {"attention": False}), ("pairs", {"encoder": "shared"}), ("gru stream", {"layers": 1}),
    ("gru stream", {"cell": "lstm"}), ("labels", {"hidden": 5}), ("fill", {"embedding": 5})], ids=str)
def test_another_architecture_is_refused_in_one_line_that_says_what_the_model_is(model_of, name, others):
    model, read = model_of(name)
    corpus = read(KINDS[name].texts[1])
    with pytest.raises(UsageError) as refused:
        initial_weights(model, corpus, choose_model(corpus, wishes_of(KINDS[name], **others)))
    said = str(refused.value)
    assert said.startswith("--init-from: ") and model.config.describe() in said and "\n" not in said


def test_an_untied_network_is_refused_for_a_tied_model(model_of):
    model, read = model_of("stream", tied=True)
    corpus = read(STREAM[1])
    with pytest.raises(UsageError, match="tied.*its architecture cannot be changed"):
        initial_weights(model, corpus, choose_model(corpus, wishes_of(KINDS["stream"])))
