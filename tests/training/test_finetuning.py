"""A model with a larger vocabulary computes the same as before on everything that it knew."""

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
from charlm.modelfile import Model, check_sizes
from charlm.text.line_corpus import build_line_corpus
from charlm.text.pair_corpus import build_pair_corpus
from charlm.text.reading import Text
from charlm.text.special_tokens import eos_id, label_id, mask_id, vocabulary_sizes
from charlm.text.text_corpus import build_text_corpus as prepare
from charlm.text.tokenizers.registry import Extendable, train
from charlm.training.defaults import resolve
from charlm.training.finetuning import initial_weights
from charlm.training.options import TrainingOptions

# New characters sort before, between and after the known ones; some known ones do not occur again.
TEXT = ("bad cab\nfed\n" * 4, "!bé ga\U0010ffff\tcA\n" * 4)
LINES = ("bad\ncab\nfed\n", "!bé\nga\U0010ffff\tcA\n")
LABELS = ("D\tbad\nB\tcab\nB\tfed\n", "E\t!bé\nC\tga\nA\tcA\nD\tbb\n")
PAIRS = ("bád\tB D\ncab\tD A B\nfed\tD\neda\tA B\ndab\tB\n", "!bé\tB C\ngü\tA 0 D\ncA\tZ\nxé\tA\n")
FILL = ("bad cab\nfed bad\nface bed\n" * 2, "!bé ga\ncA dA\nbe é\n" * 2)
NETWORK = {"hidden_size": 6, "embedding_size": 6, "num_layers": 1, "bptt": 4, "batch_size": 2}


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of model, and two texts."""

    task: str
    texts: tuple                        # of the model, and to continue training on
    prepare: object
    options: dict = dataclasses.field(default_factory=dict)


def pairs_with(kind):
    return lambda texts, tokenizer=kind, **options: build_pair_corpus(texts, tokenizer=tokenizer, **options)


KINDS = {
    "text": Kind("text", TEXT, prepare),
    "gru text": Kind("text", TEXT, prepare, {"cell": "gru", "num_layers": 2}),
    "rnn text": Kind("text", TEXT, prepare, {"cell": "rnn"}),
    "windowed text": Kind("text", TEXT, prepare, {"encoder": "bidirectional"}),
    "lines": Kind("lines", LINES, functools.partial(build_line_corpus, labelled=False)),
    "labels": Kind("labels", LABELS, functools.partial(build_line_corpus, labelled=True)),
    "pairs": Kind("pairs", PAIRS, pairs_with("char")),
    "pairs of words": Kind("pairs", PAIRS, pairs_with("word")),
    "pairs, shared encoder": Kind("pairs", PAIRS, pairs_with("char"), {"encoder": "shared"}),
    "fill": Kind("fill", FILL, functools.partial(prepare, validation=0.4)),
    "fill, shared encoder": Kind("fill", FILL, functools.partial(prepare, validation=0.4), {"encoder": "shared"}),
}
TABLES = {"embedding.weight": "reads", "head.weight": "writes", "head.bias": "writes",
          "encoder.embedding.weight": "source"}


@dataclasses.dataclass(frozen=True)
class Enlarged:
    """A model, a corpus with more tokens, and the initial weights of a network for both."""

    model: Model
    corpus: object
    config: ModelConfig
    weights: dict


def random_weights(config, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in config.parameter_shapes().items()}


def known(task, of, part):
    """Return the ids of a part of the network by their meaning: (kind, text)."""
    tokenizer = of.source_tokenizer if part == "source" else of.tokenizer
    ids = {("unknown", ""): tokenizer.unknown_id}
    for number in set(range(tokenizer.size)) - {tokenizer.unknown_id}:
        text = tokenizer.display(number)
        [ids["token", text]] = tokenizer.encode(text)
    if task != "text" and (part != "source" or task == "fill"):
        ids["end", ""] = eos_id(tokenizer)
    if task == "fill" and part == "source":
        ids["gap", ""] = mask_id(tokenizer)
    if part == "reads" and of.labels:
        ids |= {("label", name): label_id(tokenizer, number) for number, name in enumerate(of.labels.names)}
    return ids


def tables(enlarged):
    """Yield every tensor with a row for each id: its name, old rows, new rows, and the ids of both by meaning."""
    task = enlarged.model.task
    for name in TABLES.keys() & enlarged.weights.keys():
        part = TABLES[name]
        old, new = enlarged.model.weights[name], enlarged.weights[name]
        old_ids, new_ids = known(task, enlarged.model, part), known(task, enlarged.corpus, part)
        assert sorted(old_ids.values()) == list(range(len(old))) and sorted(new_ids.values()) == list(range(len(new)))
        yield name, old, new, old_ids, new_ids


@pytest.fixture(scope="module")
def model_of(tmp_path_factory):
    """A function from a kind to a model with random weights and a function that reads another text for it."""
    folder = tmp_path_factory.mktemp("texts")

    def read(kind, text, **options):
        (folder / "text").write_text(text, encoding="utf-8", newline="")
        return kind.prepare([Text(str(folder / "text"))], **options)

    def make(name, tied=False):
        kind = KINDS[name]
        corpus = read(kind, kind.texts[0])
        config = resolve(kind.task, options_of(kind, tied), corpus)[0]
        model = Model(config, corpus.tokenizer, random_weights(config), {}, kind.task, corpus.separate_source,
                      corpus.labels)
        check_sizes(model)
        existing = {"tokenizer": Extendable(model.tokenizer)}
        if kind.task == "pairs":
            existing["source_tokenizer"] = Extendable(model.separate_source)
        if model.labels:
            existing["labels"] = model.labels
        return model, lambda text: read(kind, text, **existing)
    return make


def options_of(kind, tied=False, **changes):
    return TrainingOptions(**{"tied": tied} | NETWORK | kind.options | changes)


@pytest.fixture(scope="module", params=[(name, tied) for name in KINDS for tied in (False, True)],
                ids=lambda which: f"{which[0]}{', tied' if which[1] else ''}")
def enlarged(request, model_of):
    name, tied = request.param
    model, read = model_of(name, tied)
    corpus = read(KINDS[name].texts[1])
    config = resolve(KINDS[name].task, options_of(KINDS[name], tied), corpus)[0]
    return Enlarged(model, corpus, config, initial_weights(model, corpus, config))


def test_known_tokens_and_labels_keep_their_rows(enlarged):
    for name, old, new, old_ids, new_ids in tables(enlarged):
        assert old_ids.keys() < new_ids.keys(), name
        for meaning, number in old_ids.items():
            assert old[number].tobytes() == new[new_ids[meaning]].tobytes(), (name, meaning)


def test_new_tokens_and_labels_start_at_the_mean_of_all_rows(enlarged):
    for name, old, new, old_ids, new_ids in tables(enlarged):
        mean = sum(row.astype(np.float64) for row in old) / len(old)
        for meaning in new_ids.keys() - old_ids.keys():
            assert np.allclose(new[new_ids[meaning]], mean, rtol=0, atol=1e-6), (name, meaning)


def test_new_tokens_and_labels_shift_the_known_ids(enlarged):
    moved = {meaning[0] for _, _, _, old_ids, new_ids in tables(enlarged)
             for meaning in old_ids if old_ids[meaning] != new_ids[meaning]}
    special = {"text": set(), "lines": {"end"}, "labels": {"end"}, "pairs": {"end"}, "fill": {"end", "gap"}}
    assert moved == {"token"} | special[enlarged.model.task] | ({"label"} if enlarged.model.labels else set())


def test_all_other_weights_are_those_of_the_model(enlarged):
    assert {name: values.shape for name, values in enlarged.weights.items()} == enlarged.config.parameter_shapes()
    assert {values.dtype.name for values in enlarged.weights.values()} == {"float32"}
    others = enlarged.weights.keys() - TABLES.keys()
    assert any(name.startswith("decoder.") for name in others)
    for name in others:
        assert enlarged.weights[name].tobytes() == enlarged.model.weights[name].tobytes(), name


def logits_of(task, of, network, written, source):
    """Return the logits after each token of a text, by the meaning of the ids of `of`."""
    tokens = np.array([of.tokenizer.encode(written)])
    state = network.start(1)
    if task in ("pairs", "fill"):
        read = of.source_tokenizer.encode(source).tolist()
        if task == "fill":
            read = [eos_id(of.tokenizer), *read, mask_id(of.tokenizer), eos_id(of.tokenizer)]
        state = network.encode(np.array([read]), np.array([len(read)]))
    if task != "text":
        begin = label_id(of.tokenizer, of.labels.index("D")) if of.labels else eos_id(of.tokenizer)
        tokens = np.concatenate([[[begin]], tokens], axis=1)
    logits, _ = network.step(tokens, state)
    return {meaning: logits[0, :, number] for meaning, number in known(task, of, "writes").items()}


def test_logits_of_known_tokens_are_those_of_the_model_before_any_update(enlarged):
    task, model = enlarged.model.task, enlarged.model
    written, source = model.tokenizer.known_text(), model.source_tokenizer.known_text()
    before = logits_of(task, model, Network(model.config, model.weights), written, source)
    after = logits_of(task, enlarged.corpus, Network(enlarged.config, enlarged.weights), written, source)
    for meaning, values in before.items():
        assert np.allclose(values, after[meaning], rtol=0, atol=1e-5), meaning
    assert np.ptp(list(before.values()), axis=0).min() > 0.1


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_unchanged_vocabulary_gives_the_weights_of_the_model(model_of, name, tied):
    model, read = model_of(name, tied)
    weights = initial_weights(model, read(KINDS[name].texts[0]), model.config)
    assert {tensor: values.tobytes() for tensor, values in weights.items()} == \
        {tensor: values.tobytes() for tensor, values in model.weights.items()}


@pytest.mark.parametrize("name", ["text", "labels", "fill"])
def test_the_model_is_not_modified(model_of, name):
    model, read = model_of(name)
    before = {tensor: values.copy() for tensor, values in model.weights.items()}
    corpus = read(KINDS[name].texts[1])
    initial_weights(model, corpus, resolve(KINDS[name].task, options_of(KINDS[name]), corpus)[0])
    assert all(np.array_equal(values, before[tensor]) for tensor, values in model.weights.items())


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" "), min_size=1, max_size=5)
texts = st.lists(words, min_size=1, max_size=5).map(" ".join)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["char", "word"]), texts, texts, texts, texts)
def test_pairs_of_any_texts_keep_known_rows(kind, source, target, more_sources, more_targets):
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
    enlarged = Enlarged(model, after, wider, initial_weights(model, after, wider))
    for name, old, new, old_ids, new_ids in tables(enlarged):
        for meaning, number in new_ids.items():
            row = old[old_ids[meaning]] if meaning in old_ids else old.astype(np.float64).mean(axis=0)
            assert np.allclose(new[number], row, rtol=0, atol=1e-6), (name, meaning)


# Refused


@pytest.mark.parametrize(("name", "changes"), [
    ("text", {"hidden_size": 7}), ("text", {"embedding_size": 7}), ("text", {"num_layers": 2}),
    ("text", {"cell": "gru"}),
    ("text", {"cell": "rnn"}), ("text", {"tied": True}), ("text", {"encoder": "stacked"}),
    ("windowed text", {"encoder": "stacked"}), ("windowed text", {"encoder": "shared"}),
    ("pairs", {"attention": False}), ("pairs", {"encoder": "shared"}), ("gru text", {"num_layers": 1}),
    ("gru text", {"cell": "lstm"}), ("labels", {"hidden_size": 5}), ("fill", {"embedding_size": 5})], ids=str)
def test_error_for_another_architecture_describes_the_model_in_one_line(model_of, name, changes):
    model, read = model_of(name)
    corpus = read(KINDS[name].texts[1])
    with pytest.raises(UsageError) as refused:
        initial_weights(model, corpus, resolve(KINDS[name].task, options_of(KINDS[name], **changes), corpus)[0])
    message = str(refused.value)
    assert message.startswith("--init-from: ") and model.config.describe() in message and "\n" not in message


def test_an_untied_network_is_refused_for_a_tied_model(model_of):
    model, read = model_of("text", tied=True)
    corpus = read(TEXT[1])
    with pytest.raises(UsageError, match="tied.*its architecture cannot be changed"):
        initial_weights(model, corpus, resolve(KINDS["text"].task, options_of(KINDS["text"]), corpus)[0])
