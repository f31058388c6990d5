"""What the user's options and the corpus decide together."""

import itertools

import pytest

from charlm.config import ModelConfig, TrainingConfig, options_of
from charlm.errors import OptionError, UsageError
from charlm.training.defaults import MIN_STEPS, check_early, line_sizes, line_steps, pair_sizes, pair_steps, resolve
from charlm.training.options import TrainingOptions

OPTIONS = TrainingOptions()


def model_of(corpus, options=OPTIONS, task="text"):
    """The architecture that the options make of a corpus."""
    return resolve(task, options, corpus)[0]


def run_of(corpus, options=OPTIONS, task="text"):
    """The run that the options make of a corpus."""
    return resolve(task, options, corpus)[1]


@pytest.fixture
def corpus(corpus_of):
    return corpus_of("abcdefgh\n" * 200)                    # 1,620 tokens to learn from


def test_without_flags_the_corpus_decides(corpus):
    model, run = model_of(corpus), run_of(corpus)
    assert (model.cell, model.num_layers, model.hidden_size, model.embedding_size) == ("lstm", 2, 64, 64)
    assert not model.tied
    assert model.vocabulary_size == 10                      # nine characters and <unk>
    assert (run.batch_size, run.bptt, run.dropout, run.weight_decay) == (8, 64, 0.3, 0.1)
    assert run.steps == MIN_STEPS


def test_flags_win_over_the_corpus(corpus):
    options = TrainingOptions(cell="gru", num_layers=3, hidden_size=20, embedding_size=9, dropout=0.0,
                              optimizer="adamw", learning_rate=0.01,
                    weight_decay=0.0, warmup=7, batch_size=4, bptt=16, clip=0.0, clip_value=0.5, patience=0,
                    seed=9, steps=12)
    model, run = model_of(corpus, options), run_of(corpus, options)
    assert (model.cell, model.num_layers, model.hidden_size, model.embedding_size) == ("gru", 3, 20, 9)
    assert (run.dropout, run.optimizer, run.learning_rate, run.weight_decay, run.warmup) == (0.0, "adamw", 0.01, 0.0, 7)
    assert (run.batch_size, run.bptt, run.clip, run.clip_value) == (4, 16, 0.0, 0.5)
    assert (run.patience, run.seed, run.steps) == (0, 9, 12)


def test_relu_reaches_the_model(corpus):
    assert model_of(corpus, TrainingOptions(cell="rnn", nonlinearity="relu")).nonlinearity == "relu"


def test_tied_embedding_is_as_wide_as_the_hidden_layer(corpus):
    assert model_of(corpus, TrainingOptions(tied=True, hidden_size=48)).embedding_size == 48
    with pytest.raises(UsageError, match="--tied"):
        model_of(corpus, TrainingOptions(tied=True, hidden_size=48, embedding_size=20))


@pytest.mark.parametrize("epochs, steps", [(1, 12), (10, 126), (0.5, 6), (0.0001, 1)])
def test_epochs_are_passes_over_the_learned_part(corpus, epochs, steps):
    assert run_of(corpus, TrainingOptions(epochs=epochs, batch_size=8, bptt=16)).steps == steps    # 1,620 / 128


def test_a_short_corpus_narrows_the_window(corpus_of):
    run = run_of(corpus_of("abcdefghij" * 2), TrainingOptions(bptt=64, batch_size=8))              # 18 tokens
    assert (run.batch_size, run.bptt) == (1, 17)


@pytest.mark.parametrize("both", [
    {"steps": 5, "epochs": 1.0}, {"steps": 5, "minutes": 1.0}, {"epochs": 2.0, "minutes": 1.0}])
def test_two_lengths_are_refused_by_name(both):
    with pytest.raises(UsageError) as caught:
        TrainingOptions(**both)
    assert all(f"--{name}" in str(caught.value) for name in both)


@pytest.mark.parametrize("name", ["epochs", "minutes"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_length_that_is_not_positive_is_refused_by_name(name, value):
    with pytest.raises(UsageError, match=f"^{name} must be"):
        TrainingOptions(**{name: value})


@pytest.mark.parametrize("flag, options", [
    ("--lr", {"learning_rate": -1.0}), ("--dropout", {"dropout": 1.0}), ("--steps", {"steps": 0}),
    ("--bptt", {"bptt": -1}), ("--clip", {"clip": float("nan")}), ("--seed", {"seed": -1})])
def test_a_run_that_cannot_be_is_refused_by_its_flag(corpus, flag, options):
    with pytest.raises(OptionError) as caught:
        run_of(corpus, TrainingOptions(**options))
    assert caught.value.for_command_line.startswith(f"{flag} ")


def test_a_window_of_nothing_is_refused_by_its_flag(corpus):
    with pytest.raises(UsageError, match="^bptt must be"):
        run_of(corpus, TrainingOptions(bptt=0))


@pytest.mark.parametrize("lanes", [0, -3])
def test_a_batch_of_nothing_is_refused_by_its_flag(corpus, lanes):
    with pytest.raises(UsageError, match="^batch_size must be"):
        run_of(corpus, TrainingOptions(batch_size=lanes))


@pytest.mark.parametrize("flag, options", [
    ("--layers", {"num_layers": 0}), ("--hidden", {"hidden_size": 0}), ("--cell", {"cell": "mlp"}),
    ("--embedding", {"embedding_size": 0})])
def test_a_model_that_cannot_be_is_refused_by_its_flag(corpus, flag, options):
    with pytest.raises(OptionError) as caught:
        model_of(corpus, TrainingOptions(**options))
    assert caught.value.for_command_line.startswith(f"{flag} ")


# Tasks, encoders, attention


@pytest.fixture
def pairs(pairs_of):
    return pairs_of([(f"é{number}",
                      "up down"[:2 + number % 2 * 5]) for number in range(100)])   # 90 to learn from, e ´ 0-9


def test_a_stream_is_a_decoder_alone_unless_it_is_said_otherwise(corpus):
    model = model_of(corpus)
    assert (model.encoder, model.has_source, model.attention, model.window) == ("shared", False, False, 0)


@pytest.mark.parametrize("encoder", ["stacked", "bidirectional"])
@pytest.mark.parametrize("wish, attention", [(None, True), (True, True), (False, False)])
def test_an_encoder_of_a_stream_reads_windows_of_bptt(corpus, encoder, wish, attention):
    model = model_of(corpus, TrainingOptions(encoder=encoder, attention=wish, bptt=32))
    assert (model.encoder, model.attention, model.window) == (encoder, attention, 32)
    assert model.source_vocabulary_size == model.vocabulary_size == 10


def test_windows_of_a_short_corpus_are_as_short_as_those_of_its_training(corpus_of):
    corpus, options = corpus_of("abcdefghij" * 2), TrainingOptions(encoder="bidirectional")              # 18 tokens
    assert model_of(corpus, options).window == run_of(corpus, options).bptt == 17


def test_pairs_are_read_in_both_directions_and_attended_to(pairs):
    model, run = model_of(pairs, task="pairs"), run_of(pairs, task="pairs")
    assert (model.encoder, model.attention, model.window) == ("bidirectional", True, 0)
    assert model.vocabulary_size == 2 + 1 + 1               # up, down, <unk> and the end
    assert model.source_vocabulary_size == pairs.source_tokenizer.size == 13
    usual = pair_sizes(90, int(pairs.sources.lengths.sum() + pairs.targets.lengths.sum()))
    assert (model.hidden_size, run.batch_size, run.dropout, run.weight_decay, run.label_smoothing) \
        == (usual.hidden_size, usual.batch_size, usual.dropout, usual.weight_decay, usual.label_smoothing)
    assert usual.label_smoothing > 0 and run.steps == pair_steps(90, run.batch_size)


@pytest.mark.parametrize("encoder", ["shared", "stacked", "bidirectional"])
@pytest.mark.parametrize("attention", [False, True])
def test_every_encoder_of_pairs_is_given_as_wished(pairs, encoder, attention):
    model = model_of(pairs, TrainingOptions(encoder=encoder, attention=attention), task="pairs")
    assert (model.encoder, model.attention, model.has_source, model.window) == (encoder, attention, True, 0)


def test_flags_win_over_the_pairs(pairs):
    options = TrainingOptions(hidden_size=20, batch_size=5, dropout=0.0, weight_decay=0.0, label_smoothing=0.0, steps=7)
    run = run_of(pairs, options, "pairs")
    assert model_of(pairs, options, "pairs").hidden_size == 20
    assert (run.batch_size, run.dropout, run.weight_decay, run.label_smoothing, run.steps) == (5, 0.0, 0.0, 0.0, 7)


@pytest.mark.parametrize("epochs, steps", [(1, 9), (10, 90), (0.5, 4), (0.001, 1)])
def test_epochs_of_pairs_are_passes_over_those_learned(pairs, epochs, steps):
    assert run_of(pairs, TrainingOptions(epochs=epochs, batch_size=10), task="pairs").steps == steps


def test_a_fill_model_reads_gaps_and_writes_an_end(corpus):
    model, run = model_of(corpus, task="fill"), run_of(corpus, task="fill")
    assert (model.encoder, model.attention, model.window) == ("bidirectional", True, 0)
    assert (model.vocabulary_size, model.source_vocabulary_size) == (10 + 1, 10 + 2)
    assert (run.batch_size, run.steps, run.label_smoothing) == (8, MIN_STEPS, 0.0)
    assert model_of(corpus, TrainingOptions(encoder="shared", attention=False), task="fill").encoder == "shared"


@pytest.fixture(params=["plain", "labelled"])
def lines(request, lines_of):
    texts = [f"line {number}" for number in range(100)]    # 90 to learn from; line 0-9, a space, a line end
    return lines_of(texts if request.param == "plain" else list(zip(["one", "two", "two", "two"] * 25, texts,
                                                                    strict=True)),
                    validation=0.1)


def test_lines_have_a_decoder_alone_that_knows_ends_and_labels(lines):
    task = "labels" if lines.labels else "lines"
    model, run = model_of(lines, task=task), run_of(lines, task=task)
    assert (model.encoder, model.has_source, model.attention, model.window) == ("shared", False, False, 0)
    assert (model.vocabulary_size, model.labels) == (1 + 16 + 1, 2 if lines.labels else 0)
    tokens = lines.train_characters                         # as many as characters, each end included
    usual = line_sizes(tokens)
    assert (model.hidden_size, run.batch_size, run.dropout, run.weight_decay, run.label_smoothing) \
        == (usual.hidden_size, usual.batch_size, usual.dropout, usual.weight_decay, usual.label_smoothing)
    assert run.steps == line_steps(tokens, -(-90 // run.batch_size))


def test_flags_win_over_the_lines(lines):
    options = TrainingOptions(hidden_size=20, batch_size=5, dropout=0.0, weight_decay=0.0, label_smoothing=0.1,
                              steps=7, tied=True)
    model, run = model_of(lines, options, "lines"), run_of(lines, options, "lines")
    assert (model.hidden_size, model.embedding_size, model.tied) == (20, 20, True)
    assert (run.batch_size, run.dropout, run.weight_decay, run.label_smoothing, run.steps) == (5, 0.0, 0.0, 0.1, 7)


@pytest.mark.parametrize("epochs, steps", [(1, 9), (10, 90), (0.5, 4), (0.001, 1)])
def test_epochs_of_lines_are_passes_over_those_learned(lines, epochs, steps):
    assert run_of(lines, TrainingOptions(epochs=epochs, batch_size=10), task="lines").steps == steps


@pytest.mark.parametrize("encoder", ["stacked", "bidirectional"])
def test_an_encoder_for_lines_is_refused_before_they_are_read(encoder):
    with pytest.raises(UsageError, match=f"--encoder {encoder} has nothing to read: a line begins with nothing"):
        check_early("lines", TrainingOptions(encoder=encoder))
    check_early("lines", TrainingOptions(encoder="shared"))
    check_early("text", TrainingOptions(encoder=encoder))


@pytest.mark.parametrize("flag, task, options", [
    ("--attention", "text", {"attention": True}), ("--attention", "lines", {"attention": True}),
    ("--attention", "text", {"attention": True, "encoder": "shared"}), ("--encoder", "text", {"encoder": "both"}),
    ("--label-smoothing", "text", {"label_smoothing": 1.0}), ("--label-smoothing", "text", {"label_smoothing": -0.1}),
    ("--tied", "pairs", {"tied": True, "hidden_size": 48, "embedding_size": 20})])
def test_impossible_options_are_refused_before_a_corpus_is_read(flag, task, options):
    with pytest.raises(UsageError) as caught:
        check_early(task, TrainingOptions(**options))
    assert getattr(caught.value, "for_command_line", str(caught.value)).startswith(flag)


@pytest.mark.parametrize("task, encoder", [
    *itertools.product(["text", "pairs", "fill"], [None, "shared", "stacked", "bidirectional"]),
    ("lines", None), ("lines", "shared"), ("labels", "shared")])
def test_every_task_and_encoder_can_do_without_attention(task, encoder):
    options = TrainingOptions(encoder=encoder, attention=False)
    assert check_early(task, options) is None and options.given["attention"] is False


# Options are the fields of the configurations


def test_options_are_the_user_fields_of_both_configurations():
    fields = {field.name for config in (ModelConfig, TrainingConfig) for field, its in options_of(config)
              if its.is_settable and its.help}
    assert {field.name for field, _ in options_of(TrainingOptions)} == fields | {"epochs", "minutes"}
    assert TrainingOptions().given == {} and TrainingOptions(tied=False, dropout=0.0).given == {"tied": False,
                                                                                                "dropout": 0.0}


@pytest.mark.parametrize("field, its", [pytest.param(*pair, id=pair[0].name) for pair in options_of(TrainingOptions)])
def test_help_states_the_default_of_every_option_that_is_not_a_switch(field, its):
    assert its.automatic or field.name in ("tied", "epochs", "minutes")
