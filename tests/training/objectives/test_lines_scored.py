"""The validation loss of lines agrees with their scores, in NumPy and through torch, to 1e-5."""

import math

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.inference.line_scoring import make_scorer
from charlm.inference.matmul import matmul
from charlm.inference.network import Network as NumpyNetwork
from charlm.inference.scoring import WINDOW
from charlm.nn.numpy_adapter import NumpyAdapter
from charlm.text.line_corpus import MAX_EXAMPLE
from charlm.text.special_tokens import vocabulary_sizes
from charlm.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

LINES = ["she sells sea shells", "by the sea shore", "", "the shells she sells", "are surely sea shells",
         "é\u2581\U0001f680"] * 3
HELD_OUT = ["sea", "", "shore", "she sells", "the sea by the sea by the sea"]
UNKNOWN = ["s?a", "\0", "\u4e00\u4e8c\U0010ffff", "e\u0301", "<unk>"]
LONG = ["sea shells " * 3 + "?", "a" * (WINDOW + 1), "she sells " * (MAX_EXAMPLE // 4), "s"]


def trained(corpus, **shape):
    """Return a trainer after a few updates, with biases far from zero."""
    size, _ = vocabulary_sizes("lines", corpus.tokenizer, corpus.tokenizer)
    shape = {"cell": "lstm", "num_layers": 2, "embedding_size": 6, "hidden_size": 12} | shape
    model = ModelConfig(size, labels=len(corpus.labels or ()), **shape)
    run = TrainingConfig(steps=5, batch_size=8, dropout=0.3, warmup=1, learning_rate=0.02)
    trainer = Trainer(corpus, model, run, device="cpu", task="lines")
    with torch.no_grad():
        for parameter in trainer.network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    for step in range(5):
        trainer.update(step)
    return trainer


def scored(trainer, corpus, lines, backend):
    """Return nats per token and bits per character of lines, as `charlm score` computes them."""
    weights = {name: values.numpy() for name, values in trainer.network.weights().items()}
    config = trainer.network.config
    torch_based = backend == "torch"
    network = NumpyAdapter(config, weights, "cpu") if torch_based else NumpyNetwork(config, weights, matmul=matmul)
    scorer = make_scorer(network, corpus.tokenizer, corpus.labels, lines=True)
    scores = scorer.score([line if isinstance(line, str) else "\t".join(line) for line in lines])
    nats = np.concatenate([score.nats for score in scores])
    return nats.mean(), sum(score.bits for score in scores) / sum(score.characters for score in scores)


def check_agreement(corpus, held_out, **shape):
    """Check that validation agrees with scoring by both backends."""
    trainer = trained(corpus, **shape)
    metrics = trainer.objective.validate(lambda: False)
    for backend in ("numpy", "torch"):
        loss, bits = scored(trainer, corpus, held_out, backend)
        assert (metrics.loss, metrics.bits_per_character) == pytest.approx((loss, bits), abs=1e-5)


def labelled(lines):
    """Return the lines that are not empty, with labels."""
    return [(("one", "two", "three")[number % 3], line) for number, line in enumerate(lines) if line]


@pytest.mark.parametrize("shape", [{}, {"cell": "gru"}, {"cell": "rnn", "nonlinearity": "relu"},
                                   {"tied": True, "embedding_size": 12}], ids=str)
@pytest.mark.parametrize("prepare", [list, labelled])
def test_every_cell_agrees(lines_of, prepare, shape):
    check_agreement(lines_of(prepare(LINES), validation=prepare(HELD_OUT)), prepare(HELD_OUT), **shape)


@pytest.mark.parametrize("tokenizer", ["char", "byte", "bpe", "unigram"])
@pytest.mark.parametrize("prepare", [list, labelled])
def test_every_tokenizer_agrees_on_unseen_characters(lines_of, prepare, tokenizer):
    held_out = prepare(HELD_OUT + UNKNOWN)
    check_agreement(lines_of(prepare(LINES), validation=held_out, tokenizer=tokenizer), held_out)


@pytest.mark.parametrize("prepare", [list, labelled])
def test_lines_longer_than_an_example_and_a_window_agree(lines_of, prepare):
    assert max(map(len, LONG)) > 2 * MAX_EXAMPLE
    check_agreement(lines_of(prepare(LINES), validation=prepare(LONG)), prepare(LONG))


def test_p_of_an_unknown_character_is_spread_over_all_of_them(lines_of):
    corpus = lines_of(["ab", "ba"], validation=["\u4e00" * 50])
    trainer = trained(corpus)
    with torch.no_grad():
        for parameter in trainer.network.parameters():
            parameter.zero_()
    unknown = 17 * 65_536 - 2_048 - 3                       # code points, less surrogates, less \n a b
    loss = trainer.objective.validate(lambda: False).loss
    assert loss == pytest.approx(math.log(5) + math.log(unknown) * 50 / 51, rel=1e-6)


def test_a_held_out_share_of_the_lines_agrees_too(lines_of):
    lines = [f"line {number}" for number in range(60)]
    corpus = lines_of(lines, validation=0.5)
    rows = [corpus.validation[index] for index in range(len(corpus.validation))]
    check_agreement(corpus, ["".join(corpus.tokenizer.display(token) for token in row[1:-1]) for row in rows])
