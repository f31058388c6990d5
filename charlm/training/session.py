"""One training run from corpus to stored model: the plan first, then the trainer's records."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator

from charlm.config import ModelConfig, TrainingConfig
from charlm.modelfile import Model, save
from charlm.records import Planned, Record, Sampled, Validation
from charlm.training.choices import AnyCorpus, Wishes, choose_model, choose_run
from charlm.training.device import choose_device, set_up
from charlm.training.plan import measure
from charlm.training.trainer import Trainer, train

MEASURED = 1.0                          # seconds spent on measuring the speed
MEASURED_SHARE = 0.03                   # with --minutes, this share of the time
MEASURED_MOST = 8.0                     # seconds
FINISHING = 0.5                         # seconds kept for saving and leaving


@dataclasses.dataclass(frozen=True)
class Session:
    """What a run needs beside the wishes: where to write, on what, and who may stop it."""

    output: str
    device: str
    threads: int | None
    began: float                        # time.monotonic() when the command began
    interrupted: Callable[[], bool]
    preview: Callable[[Model, AnyCorpus], str] | None = None  # a sample to look at


def run(corpus: AnyCorpus, wishes: Wishes, session: Session) -> Iterator[Record]:
    """Plan, train and store; after each validation a preview, where the session has one.

    Raises UsageError for wishes that do not fit, StorageError, DivergedError.
    """
    device = choose_device(session.device)
    threads = set_up(session.threads)
    model, config = choose_model(corpus, wishes), choose_run(corpus, wishes)
    config, seconds = _planned(corpus, model, config, wishes=wishes, device=device, session=session)
    trainer = Trainer(corpus, model, config, device=device, task=wishes.task)
    yield Planned(model.describe(), corpus.describe(), config.steps,
                  config.steps / trainer.objective.updates_per_epoch, seconds,
                  f"--steps {config.steps} --seed {config.seed} --threads {threads}")

    def stored(weights: dict, validation: Validation | None) -> Model:
        arrays = {name: values.numpy() for name, values in weights.items()}
        return Model(model, corpus.tokenizer, arrays, _summary(corpus, config, validation),
                     wishes.task, corpus.separate_source, corpus.labels, corpus.known_lines)

    def keep(weights: dict, validation: Validation | None) -> str:
        if validation is None and os.path.exists(session.output):
            return ""                   # a model nobody has scored never replaces another
        save(session.output, stored(weights, validation))
        return session.output

    for record in train(trainer, keep=keep, interrupted=session.interrupted):
        yield record
        if isinstance(record, Validation) and session.preview:
            yield Sampled(session.preview(stored(trainer.network.weights(), record), corpus))


def _planned(corpus: AnyCorpus, model: ModelConfig, config: TrainingConfig, *, wishes: Wishes,
             device: str, session: Session) -> tuple[TrainingConfig, float]:
    """The run with its final number of steps, and the seconds it is expected to take."""
    budget = None if wishes.minutes is None else 60 * wishes.minutes
    limit = MEASURED if budget is None else min(max(MEASURED, MEASURED_SHARE * budget), MEASURED_MOST)
    trainer = Trainer(corpus, model, config, device=device, task=wishes.task)
    speed = measure(trainer, seconds=limit, interrupted=session.interrupted)
    window, held_out = trainer.objective.tokens_per_update, trainer.objective.validation_tokens
    if budget is not None:
        left = budget - (time.monotonic() - session.began) - FINISHING
        config = dataclasses.replace(config, steps=speed.steps_within(left, window, held_out))
    return config, speed.duration(config.steps, window, held_out)


def _summary(corpus: AnyCorpus, config: TrainingConfig, validation: Validation | None) -> dict:
    """What the model file says of its training; equal runs give equal summaries."""
    score = {} if validation is None else {
        "step": validation.step, "nats_per_token": validation.loss,
        "bits_per_character": validation.bits_per_character,
        "perplexity": math.exp(min(validation.loss, 700))}
    if validation is not None and validation.error_rate is not None:
        score["word_error_rate"] = validation.error_rate
    return {**score, **corpus.facts(), **dataclasses.asdict(config)}
