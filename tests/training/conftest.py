"""Small corpora for training, and runs on them."""

import dataclasses
import functools
import hashlib
import itertools

import numpy as np
import pytest

from charlm.checkpoint import Checkpoint
from charlm.config import CorpusConfig
from charlm.events import Step, Stopped, Validation
from charlm.text.line_corpus import build_line_corpus
from charlm.text.pair_corpus import build_pair_corpus
from charlm.text.reading import Text
from charlm.text.text_corpus import build_text_corpus
from charlm.text.token_cache import TokenCache
from charlm.training.checkpoint_state import restore, snapshot
from charlm.training.defaults import resolve
from charlm.training.loop import TrainingState, train
from charlm.training.options import TrainingOptions
from charlm.training.run import Run
from charlm.training.trainer import Trainer


@pytest.fixture
def corpus_of(tmp_path):
    """A function from a text to its prepared corpus."""
    def make(text, **options):
        path = tmp_path / "corpus.txt"
        path.write_text(text, encoding="utf-8", newline="")
        return build_text_corpus([Text(str(path))], **options)
    return make


@pytest.fixture
def pairs_of(tmp_path):
    """A function from sources and targets to their prepared corpus; `validation` may be pairs, too."""
    def text(pairs, name):
        (tmp_path / name).write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8",
                                     newline="")
        return Text(str(tmp_path / name))

    def make(pairs, *, validation=None, **options):
        held_out = text(validation, "held.tsv") if isinstance(validation, list) else validation
        return build_pair_corpus([text(pairs, "pairs.tsv")], validation=held_out, **options)
    return make


@pytest.fixture
def lines_of(tmp_path):
    """A function from lines, labelled where they are pairs, to their prepared corpus; `validation` may be lines."""
    def text(lines, name):
        written = [line if isinstance(line, str) else "\t".join(line) for line in lines]
        (tmp_path / name).write_text("".join(f"{line}\n" for line in written), encoding="utf-8", newline="")
        return Text(str(tmp_path / name))

    def make(lines, *, validation=None, **options):
        held_out = text(validation, "held.txt") if isinstance(validation, list) else validation
        return build_line_corpus([text(lines, "lines.txt")], labelled=not isinstance(lines[0], str),
                                 validation=held_out, keep_blank=True, **options)
    return make


@pytest.fixture
def cache_of():
    """A function from ids to a token cache."""
    def make(ids):
        ids = list(ids)
        return TokenCache([np.array(ids)], vocabulary_size=max(ids) + 1)
    return make


_NAMES = ["".join(letters) for letters in itertools.product("bfl", "aé", "nrt")]
TEXTS = {"text": "a small cat sat\non a mat é\n" * 6, "fill": "one or two words\nand then some\n" * 2,
         "lines": "".join(f"{name}\n" for name in _NAMES),
         "labels": "".join(f"{['Low', 'High'][number % 2]}\t{name}\n" for number, name in enumerate(_NAMES)),
         "pairs": "".join(f"{name}\t{name.upper()}\n" for name in _NAMES)}
BUILD = {"text": build_text_corpus, "fill": lambda texts: build_text_corpus(texts, validation=0.4),
         "pairs": build_pair_corpus, "lines": lambda texts: build_line_corpus(texts, labelled=False),
         "labels": lambda texts: build_line_corpus(texts, labelled=True)}


@dataclasses.dataclass
class Finished:
    """The results of a run that reached its end."""

    tensors: str                        # a hash of all that its trainer holds
    kept: str                           # a hash of the last model kept, and of its validation
    checkpoints: dict                   # by step
    history: dict                       # its tensors as bytes, without times
    validations: list                   # of this session

    def ends_like(self, other):
        """Whether two runs end alike, of which the other one may have begun earlier."""
        return (self.tensors, self.kept, self.history) == (other.tensors, other.kept, other.history) \
            and self.validations == other.validations[-len(self.validations):]


class Runner:
    """Runs of one task on one small corpus."""

    def __init__(self, task, corpus, **options):
        self.task, self.corpus = task, corpus
        self.options = TrainingOptions(**{"hidden_size": 8, "embedding_size": 6, "num_layers": 1, "steps": 30,
                                          "batch_size": 4, "bptt": 8, "dropout": 0.0, "warmup": 3,
                                          "patience": 0} | options)
        model, config = resolve(task, self.options, corpus)
        self.run = Run(model, config, task, CorpusConfig(), corpus.metadata(), {"threads": 1})

    def trainer(self):
        """A trainer that has not made a step."""
        return Trainer(self.corpus, self.run.model, self.run.config, device="cpu", task=self.task)

    @functools.cached_property
    def whole(self):
        """The run without an interruption, with a checkpoint at every third of its steps."""
        return self.finish(every=self.run.config.steps // 3)

    def first_checkpoint(self):
        """The checkpoint before the first step."""
        return copied(snapshot(self.run, self.corpus, self.trainer(), TrainingState()))

    def finish(self, checkpoint=None, every=10):
        """Train to the end, from scratch or from a checkpoint as a file would give it back."""
        trainer, state, kept, checkpoints, validations = self.trainer(), TrainingState(), [], {}, []
        if checkpoint:
            state = restore(checkpoint, trainer)
        for event in train(trainer, keep=lambda *what: kept.append(what) or "model", state=state):
            if isinstance(event, Step) and event.step % every == 0:
                checkpoints[event.step] = copied(snapshot(self.run, self.corpus, trainer, state))
            if isinstance(event, Validation):
                validations.append(event)
        assert isinstance(event, Stopped) and event.reason == "finished"
        story = state.history.history().without_seconds().tensors()
        return Finished(hashed(trainer.tensors()), f"{hashed(kept[-1][0])} {kept[-1][1]}", checkpoints,
                        {name: values.tobytes() for name, values in story.items()}, validations)


def copied(checkpoint):
    """The checkpoint sharing nothing with the run, its tensors as a file gives them back."""
    return Checkpoint(checkpoint.model, checkpoint.run,
                      {name: np.array(values) for name, values in checkpoint.tensors.items()})


def hashed(tensors):
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        values = value.detach().contiguous().numpy()
        digest.update(f"{name} {values.dtype} {values.shape}".encode() + values.tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="session")
def runner_of(tmp_path_factory):
    """A function from a task and options to its runner."""
    folder = tmp_path_factory.mktemp("texts")

    @functools.cache
    def corpus_of_task(task):
        (folder / task).write_text(TEXTS[task], encoding="utf-8")
        return BUILD[task]([Text(str(folder / task))])

    @functools.cache
    def make(task, **options):
        return Runner(task, corpus_of_task(task), **options)
    return make


@pytest.fixture
def rich(runner_of, one_thread):
    """A runner whose checkpoints have tensors of every kind, and its whole run, once for all tests."""
    runner = runner_of("text", encoder="bidirectional", averaging=0.9, dropout=0.3, cell="gru")
    return runner, runner.whole
