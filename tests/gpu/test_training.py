"""Training on a GPU: the losses of the CPU, equal bits for equal seeds, exact resumption, bfloat16."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from charlm.checkpoint import Checkpoint
from charlm.config import CorpusConfig, TrainingConfig
from charlm.registry import CORPORA, implementation
from charlm.tasks import TASKS
from charlm.text.corpora import CorpusRequest
from charlm.text.reading import Text
from charlm.training.checkpoint_state import Run, restore, snapshot
from charlm.training.defaults import resolve
from charlm.training.loop import TrainingState
from charlm.training.options import TrainingOptions
from charlm.training.trainer import Trainer
from tests.helpers.texts import LABELLED_NAMES, PAIRS, VERSES, as_lines, as_rows

DEVICE = "cuda"
STEPS, HALF = 12, 5
TEXTS = {"text": VERSES, "fill": VERSES, "pairs": as_rows(PAIRS), "labels": as_rows(LABELLED_NAMES),
         "lines": as_lines(dict.fromkeys(name for _, name in LABELLED_NAMES))}
HAS_PRECISION = any(field.name == "precision" for field in dataclasses.fields(TrainingConfig))
FULL = {"precision": "float32"} if HAS_PRECISION else {}


@pytest.fixture(scope="module")
def corpus_of(tmp_path_factory):
    """Return a function from a task to a small corpus."""
    folder = tmp_path_factory.mktemp("texts")

    def make(task):
        (folder / task).write_text(TEXTS[task], encoding="utf-8")
        return implementation(CORPORA, task)([Text(str(folder / task))], CorpusRequest(CorpusConfig()))
    return make


def plan(corpus, task, **options):
    """Return the run of a small network."""
    options = {"hidden_size": 32, "embedding_size": 8, "steps": STEPS, "batch_size": 8, "bptt": 16, "dropout": 0.0,
               "warmup": 3, **FULL} | options
    model, config = resolve(task, TrainingOptions(**options), corpus)
    return Run(model, config, task, CorpusConfig(), corpus.metadata(), {})


def trainer_of(corpus, run, device=DEVICE):
    """Return a trainer that has not made a step."""
    return Trainer(corpus, run.model, run.config, device=device, task=run.task)


def updated(trainer, steps=range(STEPS)):
    """Make these steps; return their losses."""
    updates = [trainer.update(step) for step in steps]
    assert all(update.applied for update in updates)
    return np.array([update.loss for update in updates])


def digest(trainer):
    """Return a hash of all that a trainer holds."""
    found = hashlib.sha256()
    for name, value in sorted(trainer.tensors().items()):
        values = value.detach().cpu().contiguous().numpy()
        found.update(f"{name} {values.dtype} {values.shape}".encode() + values.tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("task", TASKS)
def test_losses_on_the_gpu_equal_those_on_the_cpu(corpus_of, task):
    corpus = corpus_of(task)
    run = plan(corpus, task)
    trainers = [trainer_of(corpus, run, device) for device in ("cpu", DEVICE)]
    cpu, gpu = map(updated, trainers)
    assert cpu[-1] < cpu[0] and np.abs(gpu - cpu).max() < 1e-3
    expected, found = (trainer.validate(lambda: False).loss for trainer in trainers)
    assert abs(found - expected) < 1e-3


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_run_resumed_on_the_gpu_ends_with_the_same_bits(corpus_of, task, cell):
    corpus = corpus_of(task)
    run = plan(corpus, task, cell=cell, dropout=0.3, averaging=0.9)
    whole, first, second = (trainer_of(corpus, run) for _ in range(3))
    updated(whole)
    updated(first, range(HALF))
    saved = snapshot(run, corpus, first, TrainingState(step=HALF))
    stored = Checkpoint(saved.model, saved.run, {name: np.array(value) for name, value in saved.tensors.items()})
    assert restore(stored, second).step == HALF
    updated(second, range(HALF, STEPS))
    assert digest(second) == digest(whole)


def test_equal_seeds_give_equal_bits_and_others_do_not(corpus_of):
    corpus = corpus_of("text")
    digests = []
    for seed in (1, 1, 2):
        trainer = trainer_of(corpus, plan(corpus, "text", seed=seed, dropout=0.3))
        updated(trainer)
        digests.append(digest(trainer))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.skipif(not HAS_PRECISION, reason="this charlm trains in float32 only")
@pytest.mark.parametrize("task", TASKS)
def test_bfloat16_learns_what_float32_learns(corpus_of, task):
    corpus = corpus_of(task)
    losses = {}
    for precision in ("float32", "bfloat16"):
        trainer = trainer_of(corpus, plan(corpus, task, precision=precision, steps=60))
        losses[precision] = updated(trainer, range(60))
        assert {value.dtype for value in trainer.network.parameters()} == {torch.float32}
    assert losses["bfloat16"][-10:].mean() < losses["bfloat16"][0] - 0.3
    assert abs(losses["bfloat16"][-10:].mean() - losses["float32"][-10:].mean()) < 0.02
    assert (losses["bfloat16"] != losses["float32"]).any()
