"""What flags and corpus decide together."""

import pytest

from charlm.errors import UsageError
from charlm.training.choices import Wishes, choose_model, choose_run
from charlm.training.plan import default_steps


@pytest.fixture
def corpus(corpus_of):
    return corpus_of("abcdefgh\n" * 200)                    # 1,620 tokens to learn from


def test_without_flags_the_corpus_decides(corpus):
    model, run = choose_model(corpus, Wishes()), choose_run(corpus, Wishes())
    assert (model.cell, model.num_layers, model.hidden_size, model.embedding_size) == ("lstm", 2, 64, 64)
    assert not model.tied
    assert model.vocabulary_size == 10                      # nine characters and <unk>
    assert (run.batch_size, run.bptt, run.dropout, run.weight_decay) == (8, 64, 0.1, 0.1)
    assert run.steps == default_steps(1620, 8 * 64)


def test_flags_win_over_the_corpus(corpus):
    wishes = Wishes(cell="gru", layers=3, hidden=20, embedding=9, dropout=0.0, optimizer="adamw", lr=0.01,
                    weight_decay=0.0, warmup=7, batch_size=4, bptt=16, clip=0.0, clip_value=0.5, patience=0,
                    seed=9, steps=12)
    model, run = choose_model(corpus, wishes), choose_run(corpus, wishes)
    assert (model.cell, model.num_layers, model.hidden_size, model.embedding_size) == ("gru", 3, 20, 9)
    assert (run.dropout, run.optimizer, run.learning_rate, run.weight_decay, run.warmup) == (0.0, "adamw", 0.01, 0.0, 7)
    assert (run.batch_size, run.bptt, run.clip, run.clip_value) == (4, 16, 0.0, 0.5)
    assert (run.patience, run.seed, run.steps) == (0, 9, 12)


def test_relu_reaches_the_model(corpus):
    assert choose_model(corpus, Wishes(cell="rnn", nonlinearity="relu")).nonlinearity == "relu"


def test_tied_embedding_is_as_wide_as_the_hidden_layer(corpus):
    assert choose_model(corpus, Wishes(tied=True, hidden=48)).embedding_size == 48
    with pytest.raises(UsageError, match="--tied"):
        choose_model(corpus, Wishes(tied=True, hidden=48, embedding=20))


@pytest.mark.parametrize("epochs, steps", [(1, 12), (10, 126), (0.5, 6), (0.0001, 1)])
def test_epochs_are_passes_over_the_learned_part(corpus, epochs, steps):
    assert choose_run(corpus, Wishes(epochs=epochs, batch_size=8, bptt=16)).steps == steps    # 1,620 / 128


def test_a_short_corpus_narrows_the_window(corpus_of):
    run = choose_run(corpus_of("abcdefghij" * 2), Wishes(bptt=64, batch_size=8))              # 18 tokens
    assert (run.batch_size, run.bptt) == (1, 17)


@pytest.mark.parametrize("both", [
    {"steps": 5, "epochs": 1.0}, {"steps": 5, "minutes": 1.0}, {"epochs": 2.0, "minutes": 1.0}])
def test_two_lengths_are_refused_by_name(both):
    with pytest.raises(UsageError) as caught:
        Wishes(**both)
    assert all(f"--{name}" in str(caught.value) for name in both)


@pytest.mark.parametrize("name", ["epochs", "minutes"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_length_that_is_not_positive_is_refused_by_name(name, value):
    with pytest.raises(UsageError, match=f"--{name}"):
        Wishes(**{name: value})


@pytest.mark.parametrize("flag, wishes", [
    ("--lr", {"lr": -1.0}), ("--dropout", {"dropout": 1.0}), ("--steps", {"steps": 0}),
    ("--bptt", {"bptt": -1}), ("--clip", {"clip": float("nan")}), ("--seed", {"seed": -1})])
def test_a_run_that_cannot_be_is_refused_by_its_flag(corpus, flag, wishes):
    with pytest.raises(UsageError, match=flag):
        choose_run(corpus, Wishes(**wishes))


def test_a_window_of_nothing_is_refused_by_its_flag(corpus):
    with pytest.raises(UsageError, match="--bptt"):
        choose_run(corpus, Wishes(bptt=0))


@pytest.mark.parametrize("lanes", [0, -3])
def test_a_batch_of_nothing_is_refused_by_its_flag(corpus, lanes):
    with pytest.raises(UsageError, match="--batch-size"):
        choose_run(corpus, Wishes(batch_size=lanes))


@pytest.mark.parametrize("flag, wishes", [
    ("--layers", {"layers": 0}), ("--hidden", {"hidden": 0}), ("--cell", {"cell": "mlp"}),
    ("--embedding", {"embedding": 0})])
def test_a_model_that_cannot_be_is_refused_by_its_flag(corpus, flag, wishes):
    with pytest.raises(UsageError, match=flag):
        choose_model(corpus, Wishes(**wishes))
