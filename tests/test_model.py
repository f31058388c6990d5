"""charlm from Python: every method on every task, what the commands say, and no torch."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import charlm
from charlm.cli.main import cli
from charlm.config import ModelConfig
from charlm.errors import CharlmError, ModelFileError, StorageError, UsageError
from charlm.inference import infilling, line_sampling
from charlm.model import LanguageModel
from charlm.modelfile import Model, save
from charlm.tasks import TASKS
from charlm.text.labels import Labels
from charlm.text.line_hashes import LineHashes, line_hash
from charlm.text.special_tokens import vocabulary_sizes
from charlm.text.tokenizers.char import CharTokenizer

LETTERS = CharTokenizer.train(["\nabcdefgh _"], vocabulary_size=None)
LABELS = Labels(("calm", "odd", "wild"), (6, 1, 3))

CALLS = {
    "sample": lambda model: model.sample("ab", length=3, seed=1),
    "stream": lambda model: list(model.stream(length=3, seed=1)),
    "lines": lambda model: model.lines(2), "score": lambda model: model.score("ab"),
    "scores": lambda model: model.scores(["ab"]), "surprisals": lambda model: model.surprisals("ab"),
    "classify": lambda model: model.classify("ab"), "translate": lambda model: model.translate("ab"),
    "translations": lambda model: model.translations("ab"), "fill": lambda model: model.fill("a___b"),
    "trace": lambda model: model.trace("ab"), "next": lambda model: model.next("ab"),
    "state": lambda model: model.state("calm\tab"),
    "alignment": lambda model: model.alignment("ab")}
READING = {"score", "scores", "surprisals", "sample", "stream", "trace", "next", "state"}
DOES = {"text": READING, "lines": READING | {"lines"}, "labels": READING | {"lines", "classify"},
        "pairs": {"translate", "translations", "alignment"}, "fill": {"fill"}}
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def random_model(kind):
    """Of random weights, whose lines are a dozen letters long."""
    task, labels = kind, LABELS if kind == "labels" else None
    writes, reads = vocabulary_sizes(task, LETTERS, LETTERS)
    source = {"source_vocabulary_size": reads, "encoder": "bidirectional", "attention": True}
    config = ModelConfig(writes, labels=len(labels or ()), hidden_size=12, embedding_size=6,
                         **source if task in ("pairs", "fill") else {})
    draw = np.random.default_rng(3)
    weights = {name: (3 * draw.standard_normal(shape) / shape[-1] ** 0.5).astype(np.float32)
               for name, shape in config.parameter_shapes().items()}
    known = LineHashes(np.array([line_hash(line) for line in ("", "a")], np.uint64))
    return Model(config, LETTERS, weights, {"target_ratio": 1.0} if task == "pairs" else {}, task,
                 LETTERS if task == "pairs" else None, labels, known if TASKS[task].by_line else None)


@pytest.fixture(scope="session")
def paths(tmp_path_factory):
    """Model files of all kinds."""
    folder = tmp_path_factory.mktemp("models")
    for kind in TASKS:
        save(str(folder / f"{kind}.charlm"), random_model(kind))
    return {kind: str(folder / f"{kind}.charlm") for kind in TASKS}


@pytest.fixture
def models(paths):
    return {kind: charlm.load(path) for kind, path in paths.items()}


@pytest.fixture
def said(paths):
    """What a command writes on stdout, with a model, for some input."""
    def run(kind, verb, *flags, data=None):
        done = CliRunner().invoke(cli, [verb, "-m", paths[kind], *map(str, flags)], input=data, env=ONE_THREAD)
        assert done.exit_code == 0, done.output
        return done.stdout
    return run


def records(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("kind", TASKS)
def test_a_model_does_what_its_task_can_do_and_refuses_the_rest(models, kind):
    assert models[kind].task == kind
    for name, call in CALLS.items():
        if name in DOES[kind]:
            assert call(models[kind])
        else:
            with pytest.raises(UsageError, match="--l|^a "):
                call(models[kind])


# The parts that the command line joins by itself.
WIRING = {"scorer", "tracer", "classifier", "translator", "infiller", "filtered_line_sampler", "max_line_length",
          "generate", "generate_measured", "near_lines", "watch_reading", "adapter", "adaptive_reader",
          "gradient_reach"}


def test_every_public_method_is_tried_above():
    public = {name for name, value in vars(LanguageModel).items() if callable(value) and not name.startswith("_")}
    assert public == set(CALLS) | WIRING | {"save"}


@pytest.mark.parametrize("call, named", [
    (lambda model: model.score(["a"]), r"score\(\) takes text as a str, not list; scores\(\) takes several"),
    (lambda model: model.score(b"a"), "not bytes"), (lambda model: model.scores("ab"), "not one str"),
    (lambda model: model.scores([1]), "not int"), (lambda model: model.stream(5), r"stream\(\) takes prompt"),
    (lambda model: model.surprisals(None), "NoneType"), (lambda model: model.classify(["a"]), "not list"),
    (lambda model: model.classify("a", among="b c"), "not one str"),
    (lambda model: model.fill(3), "not int"), (lambda model: model.translate(["a"]), "not list")])
def test_a_value_that_is_not_text_is_a_type_error(models, call, named):
    with pytest.raises(TypeError, match=named):
        call(models["lines"])


def test_labels_are_those_of_the_model(models):
    assert {kind: model.labels for kind, model in models.items()} == dict.fromkeys(TASKS, ()) | {"labels": LABELS.names}


def test_what_is_no_model_is_refused_by_name(tmp_path):
    (tmp_path / "x.charlm").write_text("no model")
    for name in ("x.charlm", "y.charlm"):
        with pytest.raises(ModelFileError, match=name):
            charlm.load(str(tmp_path / name))


@pytest.mark.parametrize("settings, flags", [
    ({}, ()), ({"temperature": 0.5, "top_k": 5}, ("--temp", 0.5, "--top-k", 5)), ({"temperature": 0.0}, ("--temp", 0)),
    ({"top_p": 0.8, "min_p": 0.01, "repeat_penalty": 1.2}, ("--top-p", 0.8, "--min-p", 0.01, "--repeat-penalty", 1.2))])
@pytest.mark.parametrize("kind", ["text", "lines", "labels"])
def test_a_sample_is_the_command_s(models, said, kind, settings, flags):
    text = models[kind].sample("bad", length=30, seed=4, **settings)
    record, = records(said(kind, "sample", "-p", "bad", "-n", 30, "--seed", 4, "--jsonl", *flags))
    assert text == record["text"]


def test_a_stream_comes_in_pieces_that_join_to_the_sample(models):
    pieces = list(models["text"].stream("ab", length=50, seed=1))
    assert len(pieces) == 50 and "".join(pieces) == models["text"].sample("ab", length=50, seed=1)
    assert list(models["text"].stream(length=0)) == []


def test_running_text_is_500_tokens_long_unless_told(models):
    assert len(models["text"].sample()) == 500


def test_a_seed_repeats_and_none_draws_one(models):
    for kind in ("text", "lines"):
        assert models[kind].sample(seed=1) == models[kind].sample(seed=1)
        assert len({models[kind].sample() for _ in range(6)}) > 1


@pytest.mark.parametrize("settings, flags", [
    ({}, ()), ({"prefix": "ab", "unique": True}, ("--prefix", "ab", "--unique")),
    ({"novel": True, "match": "a.*b"}, ("--novel", "--match", "a.*b"))])
def test_lines_are_the_command_s(models, said, settings, flags):
    lines = models["lines"].lines(70, seed=2, **settings)
    assert lines == said("lines", "sample", "-N", 70, "--seed", 2, *flags).splitlines() and len(lines) == 70


def test_lines_of_a_label_are_the_command_s(models, said):
    lines = models["labels"].lines(9, label="wild", seed=2)
    assert lines == said("labels", "sample", "-N", 9, "--seed", 2, "--label", "wild").splitlines()
    assert lines != models["labels"].lines(9, label="odd", seed=2)


@pytest.mark.parametrize("kind, home, worker", [("lines", line_sampling, "LineSampler"),
                                                ("fill", infilling, "Infiller")])
def test_what_is_drawn_is_computed_to_the_same_bits_in_any_company(models, monkeypatch, kind, home, worker):
    networks, make = [], getattr(home, worker)
    monkeypatch.setattr(home, worker, lambda network, *given: networks.append(network) or make(network, *given))
    CALLS[kind](models[kind])
    network, states = networks[0], np.random.default_rng(0).standard_normal((100, 12)).astype(np.float32)
    matrix = np.random.default_rng(1).standard_normal((12, 48)).astype(np.float32)
    together = network._matmul(states, matrix)
    assert all(np.array_equal(network._matmul(states[row:row + 1], matrix)[0], together[row]) for row in range(100))


def test_wanted_lines_are_wanted(models):
    assert "" in models["lines"].lines(300, seed=1)
    lines = models["lines"].lines(60, unique=True, novel=True, match="^a|^$", seed=1)
    assert len(set(lines)) == 60 and not {"", "a"} & set(lines) and all(line.startswith("a") for line in lines)


def test_too_few_wanted_lines_are_an_error_that_counts(models):
    with pytest.raises(CharlmError, match="found 0 of 2 lines among 10000 sampled"):
        models["lines"].lines(2, match="Z", length=1)


@pytest.mark.parametrize("kind, call, message", [
    ("lines", lambda model: model.lines(1, label="calm"), "^label .*no labels"),
    ("labels", lambda model: model.lines(1, label="clam"), "did you mean calm"),
    ("lines", lambda model: model.lines(1, prefix="a\nb"), "^prefix .*line break"),
    ("lines", lambda model: model.sample("a\n"), "line break"),
    ("lines", lambda model: model.lines(1, match="("), "^match .*regular expression"),
    ("text", lambda model: model.sample(length=-1), "^length must"),
    ("lines", lambda model: model.lines(1, length=-1), "^length must"),
    ("text", lambda model: model.sample(seed=-1), "^seed must"),
    ("text", lambda model: model.sample(temperature=-1), "^temperature must"),
    ("text", lambda model: model.stream(temperature=float("nan")), "^temperature must"),
    ("labels", lambda model: model.score("clam\tab"), "did you mean calm"),
    ("pairs", lambda model: model.translate(""), "^source is empty"),
    ("pairs", lambda model: model.translate("a", beam=0), "^beam must"),
    ("fill", lambda model: model.fill("a___b", gap=""), "^gap must"),
    ("fill", lambda model: model.fill("___", top_p=2), "^top_p must")])
def test_what_cannot_work_is_refused_at_once_in_our_own_words(models, kind, call, message):
    with pytest.raises(CharlmError, match=message):
        call(models[kind])


def test_a_misspelled_setting_is_refused(models):
    with pytest.raises(TypeError, match="temprature"):
        models["text"].sample(temprature=1)
    with pytest.raises(TypeError, match="'stop'; the sampling options are temperature, top_k"):
        models["fill"].fill("a___b", stop="e")


@pytest.mark.parametrize("kind", ["text", "lines", "labels"])
def test_scores_are_the_command_s(models, said, kind):
    texts = ["ab\n", "\n", "bad cafe\n", "éa\n", "h" * 700 + "\n"]
    told = records(said(kind, "score", "--jsonl", data="".join(texts)))
    for score, record, alone in zip(models[kind].scores(texts), told, map(models[kind].score, texts), strict=True):
        assert score.characters == alone.characters == record["characters"]
        assert score.bits == pytest.approx(record["bits"], abs=1e-4)
        assert score.bits == pytest.approx(alone.bits, abs=1e-4)
        assert score.bits_per_character == pytest.approx(record["bits_per_character"], abs=1e-5)


def test_a_label_before_a_text_is_no_character_of_it(models):
    score = models["labels"].score("wild\tab")
    assert score.characters == 3 and score.bits != pytest.approx(models["labels"].score("calm\tab").bits)


@pytest.mark.parametrize("kind, text, whole", [("text", "aéb\n", "aéb\n"), ("lines", "aéb", "aéb\n"), ("text", "", "")])
def test_surprisals_are_the_bits_of_every_character(models, said, kind, text, whole):
    parts = models[kind].surprisals(text)
    assert [part for part, _ in parts] == [*whole]
    assert sum(bits for _, bits in parts) == pytest.approx(models[kind].score(text).bits)
    told = records(said(kind, "score", "--level", "token", "--jsonl", data=text))
    assert [(part, round(bits, 4)) for part, bits in parts] == [(one["text"],
                                                                 pytest.approx(one["bits"], abs=1e-3)) for one in told]


@pytest.mark.parametrize("uniform", [False, True])
def test_posteriors_are_the_command_s_the_likeliest_first(models, said, uniform):
    chances = models["labels"].classify("bad", uniform_prior=uniform)
    flags = ["--uniform-prior"] if uniform else []
    record, = records(said("labels", "classify", "--n-best", 3, "--jsonl", *flags, data="bad\n"))
    assert [*chances] == [label["label"] for label in record["labels"]]
    assert [*chances.values()] == pytest.approx([label["posterior"] for label in record["labels"]], abs=1e-5)
    assert sum(chances.values()) == pytest.approx(1)
    assert chances == pytest.approx(models["labels"].classify("bad\r\n", uniform_prior=uniform))


def test_an_empty_line_is_classified_by_its_end_alone(models):
    prior = models["labels"].classify("")
    assert set(prior) == set(LABELS.names) and sum(prior.values()) == pytest.approx(1)


def test_translations_are_the_command_s(models, said):
    told = records(said("pairs", "translate", "--beam", 3, "--n-best", 3, "--jsonl", data="bad\ncafe\n"))
    for source, record in zip(("bad", "cafe"), told, strict=True):
        found = models["pairs"].translations(source, beam=3)
        assert [one.text for one in found] == [target["text"] for target in record["targets"]]
        assert [one.score for one in found] == pytest.approx([target["score"] for target in record["targets"]],
                                                             abs=1e-4)
        assert models["pairs"].translate(source, beam=3) == found[0].text
    assert models["pairs"].translate("bad") == said("pairs", "translate", data="bad\n").removesuffix("\n")


@pytest.mark.parametrize("text", ["ab___cd", "___", "a___b___c", "no gap", "", "______"])
def test_a_filled_line_is_the_command_s(models, said, text):
    assert models["fill"].fill(text) == said("fill", "fill", data=f"{text}\n").removesuffix("\n")
    drawn = models["fill"].fill(text, seed=8, temperature=2.0)
    assert drawn == said("fill", "fill", "--seed", 8, "--temp", 2.0, data=f"{text}\n").removesuffix("\n")


def test_a_gap_may_have_another_mark(models):
    assert models["fill"].fill("ab[?]cd", gap="[?]") == models["fill"].fill("ab___cd")
    assert models["fill"].fill("ab___cd", gap="[?]") == "ab___cd"


def test_using_models_never_imports_torch_nor_the_package_numpy(paths):
    files = [paths[kind] for kind in ("text", "lines", "labels", "pairs", "fill")]
    code = ("import sys, charlm\n"
            "print('numpy' in sys.modules, 'torch' in sys.modules)\n"
            f"text, lines, labels, pairs, fill = map(charlm.load, {files})\n"
            "text.sample('ab', length=9); text.surprisals('ab')\n"
            "lines.lines(9, unique=True, novel=True, match='a'); lines.score('ab').bits_per_character\n"
            "labels.classify('ab'); labels.lines(3); labels.scores(['calm\\tab', 'ab'])\n"
            "pairs.translate('ab'); fill.fill('a___b'); fill.fill('a___b', temperature=1.0)\n"
            "print('numpy' in sys.modules, 'torch' in sys.modules)\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["False", "False", "True", "False"], "")


def test_a_trace_has_arrays_of_documented_shapes_and_shows_itself(paths):
    for kind, text in (("text", "ab<\n"), ("lines", "ab<"), ("labels", "calm\tab<")):
        model = charlm.load(paths[kind])
        trace = model.trace(text, top=3, units=True)
        count = 4
        shapes = {"nats": (count,), "entropy": (count,), "rank": (count,), "top_ids": (count, 3),
                  "top_probabilities": (count, 3), "units": (count, 24)}
        assert {name: getattr(trace, name).shape for name in shapes} == shapes and len(trace.unit_names) == 24
        assert [(span.text, pytest.approx(span.bits, abs=1e-4)) for span in trace.spans()] == model.surprisals(text)
        shown = trace._repr_html_()
        assert shown.startswith("<pre") and "&lt;" in shown and f"rank {trace.rank[0]}," in shown
        assert model.trace(text).units.shape == (count, 0)
        assert repr(trace).startswith(f"<ShownTrace of {trace.text!r}: ") and len(repr(model.score("ab" * 999))) < 100


def test_next_and_alignments_from_python(paths):
    assert sum(odds for _, odds in charlm.load(paths["lines"]).next("a", top=99)) == pytest.approx(1)
    found = charlm.load(paths["pairs"]).alignment("ab", "cd")
    assert found.source == ("", "a", "b") and found.target == ("c", "d", "\n") and found.weights.shape == (3, 3)


@pytest.mark.parametrize("kind", TASKS)
def test_a_saved_model_has_the_bytes_of_its_file(paths, tmp_path, kind):
    charlm.load(Path(paths[kind])).save(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == Path(paths[kind]).read_bytes()


def test_save_replaces_a_model_only_if_asked_for_and_another_file_never(models, paths, tmp_path):
    models["text"].save(tmp_path / "m")
    with pytest.raises(UsageError, match="m exists; .*replace it with replace=True"):
        models["lines"].save(tmp_path / "m")
    models["lines"].save(tmp_path / "m", replace=True)
    assert charlm.load(tmp_path / "m").task == "lines"
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(UsageError, match="is not a model, so it is never replaced"):
        models["text"].save(tmp_path / "diary.txt", replace=True)
    with pytest.raises(StorageError):
        models["text"].save(tmp_path / "missing" / "m")


@pytest.mark.parametrize("kind", TASKS)
def test_info_is_the_record_of_the_command(models, said, paths, kind):
    record, = records(said(kind, "info", "--jsonl"))
    assert record == {"file": paths[kind]} | models[kind].info


def test_a_model_is_shown_in_one_line(models):
    assert repr(models["labels"]) == "<LanguageModel labels: 2-layer lstm of 12, char 12 tokens, 3 labels>"
    stored = replace(random_model("text"), training={"bits_per_character": 2.0123})
    assert repr(LanguageModel(stored)) == ("<LanguageModel text: 2-layer lstm of 12, char 12 tokens, "
                                           "2.01 bits per character>")


@pytest.mark.parametrize("kind, text", [("text", "ab"), ("text", ""), ("lines", "ab"), ("labels", "wild\tab")])
def test_the_last_layer_of_a_state_predicts_the_next_token(models, kind, text):
    model = models[kind]
    state, (matrix, bias) = model.state(text), model.reproducible_network.head
    assert state.hidden.shape == state.cell.shape == (2, 12)
    odds = np.exp(matrix @ state.hidden[-1] + bias)
    likeliest = model.next(text.rpartition("\t")[2], top=99, label="wild" if kind == "labels" else None)
    assert sorted(odds / odds.sum(), reverse=True) == pytest.approx([chance for _, chance in likeliest], abs=1e-5)


def test_only_an_lstm_has_a_cell_and_a_text_needs_the_label_of_its_model(models):
    config = ModelConfig(12, cell="gru", hidden_size=8, embedding_size=4)
    weights = {name: np.ones(shape, np.float32) for name, shape in config.parameter_shapes().items()}
    assert LanguageModel(Model(config, LETTERS, weights, {})).state("ab").cell is None
    with pytest.raises(UsageError, match="^text has no label"):
        models["labels"].state("ab")
