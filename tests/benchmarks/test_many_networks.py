"""Many networks trained side by side become what `charlm train` makes of each, and are scored alike."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.text.reading import Text
from charlm.text.text_corpus import build_text_corpus
from charlm.training.trainer import Trainer

sys.path.insert(0, str(Path(__file__).resolve().parent))
from many_networks import ManyNetworks  # noqa: E402
from many_parts import Data, Settings  # noqa: E402

pytestmark = pytest.mark.slow

HIDDEN, BATCH, BPTT, UPDATES = 32, 4, 16, 20
MODELS = ((0, 6e-3, 0.1, 20), (1, 3e-3, 0.0, 40), (1, 6e-3, 1.0, 14))  # corpus, learning rate, weight decay, steps


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Two texts without line breaks, at which states would be reset at random."""
    rng, corpora = np.random.default_rng(0), []
    for letters in ("abcdefgh ", "aeiou bcdfghklmnpqrst"):
        path = tmp_path_factory.mktemp("many") / "text.txt"
        path.write_text("".join(rng.choice(list(letters), 5000)))
        corpora.append(build_text_corpus([Text(str(path))]))
    return corpora


def data_of(corpus):
    tokenizer, train, held_out = corpus.tokenizer, corpus.train, corpus.validation
    return Data(train.slice(0, len(train)), held_out.slice(0, len(held_out)), tokenizer.size, tokenizer.start_id)


def test_many_networks_become_what_the_trainer_makes(corpora):
    data = [data_of(corpus) for corpus in corpora]
    many = ManyNetworks([Settings(data[at], steps, 0.0, decay, rate) for at, rate, decay, steps in MODELS],
                        hidden=HIDDEN, batch=BATCH, bptt=BPTT)
    trainers = []
    for index, (at, rate, decay, steps) in enumerate(MODELS):
        run = TrainingConfig(steps, batch_size=BATCH, bptt=BPTT, learning_rate=rate, weight_decay=decay, dropout=0.0,
                             averaging=0.999, seed=index)
        config = ModelConfig(corpora[at].tokenizer.size, hidden_size=HIDDEN)
        trainers.append(Trainer(corpora[at], config, run, device="cpu"))
        many.load(index, trainers[-1].network.weights())
    for step in range(UPDATES):
        many.update()
        for index, trainer in enumerate(trainers):
            if step < MODELS[index][-1]:
                assert trainer.update(step).loss == pytest.approx(many.loss[index].item(), rel=1e-4)
    averaged = many.weights.views(many.average)
    scored, scored_averages = many.evaluate(many.flat), many.evaluate(many.average)
    for index, trainer in enumerate(trainers):
        for views, expected in ((many.views, trainer.network.weights()), (averaged, trainer.export_weights())):
            for name, values in expected.items():
                torch.testing.assert_close(views[name][index][:len(values)], values, rtol=1e-4, atol=2e-5, msg=name)
        averages = trainer.validate(lambda: False).loss
        assert scored_averages[index] == pytest.approx(averages, abs=1e-3) and scored[index] != scored_averages[index]
