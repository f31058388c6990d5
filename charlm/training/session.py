"""One training run from corpus to stored model: the plan first, then the trainer's records."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator

from charlm.checkpoint import Checkpoint, Checkpoints
from charlm.config import ModelConfig, TrainingConfig
from charlm.modelfile import Model, save
from charlm.records import Planned, Record, Resumed, Sampled, Stopped, Validation, Warned
from charlm.training.choices import AnyCorpus, Wishes, choose_model, choose_run
from charlm.training.device import choose_device, set_up
from charlm.training.environment import differences, environment
from charlm.training.loop import CHECKPOINT_EVERY, Standing, train
from charlm.training.plan import Speed, measure
from charlm.training.resuming import Run, described, go_on, going_on, take
from charlm.training.trainer import Trainer

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
    preview: Callable[[Model, AnyCorpus], str] | None = None    # a sample to look at
    checkpoints: Checkpoints | None = None      # where to write them; none are written without
    checkpoint_every: float = CHECKPOINT_EVERY  # seconds
    resumed: Checkpoint | None = None           # where to go on from
    flags: dict = dataclasses.field(default_factory=dict)       # about the texts, as the user gave them
    resume_command: str = ""


def run(corpus: AnyCorpus, wishes: Wishes, session: Session) -> Iterator[Record]:
    """Plan, train and store; after each validation a preview, where the session has one.

    Raises UsageError for wishes that do not fit, StorageError, DivergedError, and ModelFileError for a
    checkpoint that cannot be gone on from.
    """
    device = choose_device(session.device)
    saved = session.resumed and described(session.resumed)
    threads = set_up(session.threads or (saved and saved.environment.get("threads")))
    here = environment(device=device, threads=threads)
    if saved is None:
        plan, seconds = _planned(corpus, wishes, session, device=device)
        plan = dataclasses.replace(plan, environment=here)
    else:
        plan, seconds = _planned_on(saved, corpus, wishes, session, device=device)
    trainer = Trainer(corpus, plan.model, plan.config, device=device, task=wishes.task)
    standing = Standing() if saved is None else go_on(session.resumed, trainer)
    yield Planned(plan.model.describe(), corpus.describe(), plan.config.steps,
                  plan.config.steps / trainer.objective.updates_per_epoch, seconds,
                  f"--steps {plan.config.steps} --seed {plan.config.seed} --threads {threads}")
    if saved is not None:
        yield Resumed(standing.step)
        if changed := differences(saved.environment, here):
            yield Warned(f"{changed}; the weights will not be those of an uninterrupted run to the bit")
    yield from _Records(corpus, plan, session, trainer).run(standing)


class _Records:
    """The records of a planned run, and the files that come of it."""

    def __init__(self, corpus: AnyCorpus, plan: Run, session: Session, trainer: Trainer):
        self._corpus, self._plan, self._session, self._trainer = corpus, plan, session, trainer

    def run(self, standing: Standing) -> Iterator[Record]:
        session, checkpoints = self._session, self._session.checkpoints
        if checkpoints and not standing.step:
            self._checkpoint(standing)          # so that the plan itself cannot be lost
        for record in train(self._trainer, keep=self._keep, interrupted=session.interrupted, standing=standing,
                            checkpoint=checkpoints and self._checkpoint, checkpoint_every=session.checkpoint_every):
            if isinstance(record, Stopped):
                record = self._stopped(record)
            yield record
            if isinstance(record, Validation) and session.preview:
                yield Sampled(session.preview(self._stored(self._trainer.kept_weights(), record), self._corpus))

    def _stopped(self, record: Stopped) -> Stopped:
        """A run that is over needs no checkpoint; one that was interrupted says how to go on."""
        if not self._session.checkpoints:
            return record
        if record.reason == "interrupted":
            return dataclasses.replace(record, resume_command=self._session.resume_command)
        self._session.checkpoints.remove()
        return record

    def _checkpoint(self, standing: Standing) -> None:
        self._session.checkpoints.save(take(self._plan, self._trainer, standing))

    def _keep(self, weights: dict, validation: Validation | None) -> str:
        output = self._session.output
        if validation is None and os.path.exists(output):
            return ""                   # a model nobody has scored never replaces another
        save(output, self._stored(weights, validation))
        return output

    def _stored(self, weights: dict, validation: Validation | None) -> Model:
        corpus, plan = self._corpus, self._plan
        arrays = {name: values.numpy() for name, values in weights.items()}
        return Model(plan.model, corpus.tokenizer, arrays, _summary(plan, validation), plan.task,
                     corpus.separate_source, corpus.labels, corpus.known_lines)


def _planned(corpus: AnyCorpus, wishes: Wishes, session: Session, *, device: str) -> tuple[Run, float]:
    """A new run with its final number of steps, and the seconds it is expected to take."""
    model, config = choose_model(corpus, wishes), choose_run(corpus, wishes)
    speed, trainer = _speed(corpus, model, config, wishes, session, device=device)
    window, held_out = trainer.objective.tokens_per_update, trainer.objective.validation_tokens
    if wishes.minutes is not None:
        left = 60 * wishes.minutes - (time.monotonic() - session.began) - FINISHING
        config = dataclasses.replace(config, steps=speed.steps_within(left, window, held_out))
    run = Run(model, config, wishes.task, session.flags, corpus.facts(), {})
    return run, speed.duration(config.steps, window, held_out)


def _planned_on(saved: Run, corpus: AnyCorpus, wishes: Wishes, session: Session, *,
                device: str) -> tuple[Run, float]:
    """The run of a checkpoint with what was changed, and the seconds that the rest is expected to take.

    Raises UsageError for a change that makes it another run.
    """
    model, config = choose_model(corpus, wishes), choose_run(corpus, wishes)
    done = session.resumed.run["standing"]["step"]
    if wishes.minutes is None and done >= config.steps:
        return going_on(saved, model, config, corpus, done), 0.0
    speed, trainer = _speed(corpus, model, config, wishes, session, device=device)
    window, held_out = trainer.objective.tokens_per_update, trainer.objective.validation_tokens
    if wishes.minutes is not None:
        left = 60 * wishes.minutes - (time.monotonic() - session.began) - FINISHING
        config = dataclasses.replace(config, steps=done + speed.steps_within(left, window, held_out))
    return (going_on(saved, model, config, corpus, done),
            speed.duration(max(config.steps - done, 1), window, held_out))


def _speed(corpus: AnyCorpus, model: ModelConfig, config: TrainingConfig, wishes: Wishes, session: Session, *,
           device: str) -> tuple[Speed, Trainer]:
    """How fast this machine is just now, and the trainer that was used up to find out."""
    budget = None if wishes.minutes is None else 60 * wishes.minutes
    limit = MEASURED if budget is None else min(max(MEASURED, MEASURED_SHARE * budget), MEASURED_MOST)
    trainer = Trainer(corpus, model, config, device=device, task=wishes.task)
    return measure(trainer, seconds=limit, interrupted=session.interrupted), trainer


def _summary(plan: Run, validation: Validation | None) -> dict:
    """What the model file says of its training; equal runs give equal summaries."""
    score = {} if validation is None else {
        "step": validation.step, "nats_per_token": validation.loss,
        "bits_per_character": validation.bits_per_character,
        "perplexity": math.exp(min(validation.loss, 700))}
    if validation is not None and validation.error_rate is not None:
        score["word_error_rate"] = validation.error_rate
    changes = {"changes": list(plan.changes)} if plan.changes else {}
    return {**score, **plan.corpus, **dataclasses.asdict(plan.config), **changes}
