"""One training run from corpus to stored model: the plan first, then the trainer's records."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Generator, Iterator

from charlm.checkpoint import Checkpoint, Checkpoints
from charlm.errors import DivergedError, StorageError, UsageError
from charlm.events import Event, Planned, Resumed, Sampled, Stopped, Validation, Warned
from charlm.modelfile import Model, save
from charlm.training.checkpoint_state import Run, described, go_on, going_on, recorded, take
from charlm.training.distributed import ProcessGroup
from charlm.training.environment import choose_device, differences, environment, set_up
from charlm.training.finetuning import initial_weights
from charlm.training.loop import CHECKPOINT_EVERY, TrainingState, train
from charlm.training.options import AnyCorpus, TrainingOptions, choose_model, choose_run
from charlm.training.speed import measure
from charlm.training.trainer import Trainer

MEASURED = 1.0                          # seconds spent on measuring the speed
MEASURED_SHARE = 0.03                   # with --minutes, this share of the time
MAX_MEASURED = 8.0                     # seconds
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
    initial: Model | None = None                # whose weights are the first ones
    process_group: ProcessGroup = ProcessGroup()

    def should_stop(self) -> bool:
        """Whether any of the processes is asked to stop."""
        return self.process_group.any(self.interrupted())


def run(corpus: AnyCorpus, wishes: TrainingOptions, session: Session) -> Iterator[Event]:
    """Plan, train and store; after each validation a preview, where the session has one.

    Raises UsageError for wishes that do not fit, StorageError, DivergedError, and ModelFileError for a
    checkpoint that cannot be gone on from.
    """
    saved = session.resumed and described(session.resumed)
    device = choose_device(session.device, saved and saved.environment.get("device"))
    threads = set_up(session.threads or (saved and saved.environment.get("threads")))
    here = environment(device=device, threads=threads, processes=session.process_group.size)
    if saved is None:
        plan = Run(choose_model(corpus, wishes), choose_run(corpus, wishes), wishes.task, session.flags,
                   corpus.metadata(), here)
    else:
        plan = going_on(saved, choose_model(corpus, wishes), choose_run(corpus, wishes), corpus)
    if plan.config.batch_size < session.process_group.size:
        raise UsageError(f"--batch-size {plan.config.batch_size} is less than one for each of "
                         f"{session.process_group.size} processes")
    plan = dataclasses.replace(plan, minutes=wishes.minutes)
    plan, seconds = yield from _planned(plan, corpus, session, device=device)
    trainer = _trainer(plan, corpus, session, device=device)
    standing = TrainingState()
    if saved is not None:
        plan, standing = recorded(saved, plan), go_on(session.resumed, trainer)
        if saved.corpus.get("corpus_digest") != corpus.digest:
            standing = standing.without_best()
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

    def run(self, standing: TrainingState) -> Iterator[Event]:
        session, checkpoints = self._session, self._session.checkpoints
        for record in self._trained(standing):
            if isinstance(record, Stopped) and checkpoints:
                if record.reason == "interrupted":
                    record = dataclasses.replace(record, resume_command=session.resume_command)
                else:
                    yield from self._clear_up()
            yield record
            if isinstance(record, Validation) and session.preview:
                yield Sampled(session.preview(self._stored(self._trainer.export_weights(), record), self._corpus))

    def _trained(self, standing: TrainingState) -> Iterator[Event]:
        """The loop's records; an error says how to go on, where there is something to go on from."""
        session, checkpoints = self._session, self._session.checkpoints
        try:
            yield from train(self._trainer, keep=self._keep, interrupted=session.should_stop, state=standing,
                             checkpoint=checkpoints and self._checkpoint, checkpoint_every=session.checkpoint_every)
        except (StorageError, DivergedError) as error:
            if not (checkpoints and checkpoints.exist()):
                raise
            raise type(error)(f"{error}; go on from the last checkpoint with: {session.resume_command}") from None

    def _clear_up(self) -> Iterator[Warned]:
        """A run that is over needs no checkpoint."""
        try:
            if self._session.process_group.is_main:
                self._session.checkpoints.remove()
        except StorageError as error:
            yield Warned(f"{error}; the model is stored, and the checkpoint may go")

    def _checkpoint(self, standing: TrainingState) -> None:
        checkpoint = take(self._plan, self._corpus, self._trainer, standing)    # of all processes
        if self._session.process_group.is_main:
            self._session.checkpoints.save(checkpoint)

    def _keep(self, weights: dict, validation: Validation | None) -> str:
        output = self._session.output
        if not self._session.process_group.is_main or validation is None and os.path.exists(output):
            return ""                   # a model nobody has scored never replaces another
        save(output, self._stored(weights, validation))
        return output

    def _stored(self, weights: dict, validation: Validation | None) -> Model:
        corpus, plan = self._corpus, self._plan
        arrays = {name: values.numpy() for name, values in weights.items()}
        return Model(plan.model, corpus.tokenizer, arrays, _summary(plan, validation), plan.task,
                     corpus.separate_source, corpus.labels, corpus.line_hashes)


def _planned(plan: Run, corpus: AnyCorpus, session: Session, *,
             device: str) -> Generator[Event, None, tuple[Run, float]]:
    """Return the run with its final number of steps, and the seconds that what is left of it should take."""
    done = session.resumed.run["standing"]["step"] if session.resumed else 0
    budget = None if plan.minutes is None else 60 * plan.minutes
    if budget is None and done >= plan.config.steps:
        return plan, 0.0
    limit = MEASURED if budget is None else min(max(MEASURED, MEASURED_SHARE * budget), MAX_MEASURED)
    trainer = _trainer(plan, corpus, session, device=device)
    if not session.resumed and session.checkpoints and session.process_group.is_main:
        # Nothing is trained yet, but from here on the run can be resumed without its flags.
        try:
            session.checkpoints.save(take(plan, corpus, trainer, TrainingState()))
        except StorageError as error:
            yield Warned(f"{error}; trying again when the speed is known")
    speed = measure(trainer, seconds=limit, interrupted=session.should_stop)
    window, held_out = trainer.objective.tokens_per_update, trainer.objective.validation_tokens
    if budget is not None:
        left = budget - (time.monotonic() - session.began) - FINISHING
        steps = session.process_group.broadcast(done + speed.steps_within(left, window, held_out))
        plan = dataclasses.replace(plan, config=dataclasses.replace(plan.config, steps=steps), minutes=None)
    return plan, speed.duration(plan.config.steps - done, window, held_out)


def _trainer(plan: Run, corpus: AnyCorpus, session: Session, *, device: str) -> Trainer:
    """A trainer that has not yet made a step."""
    trainer = Trainer(corpus, plan.model, plan.config, device=device, task=plan.task,
                      process_group=session.process_group)
    if session.initial:
        trainer.load_initial_weights(initial_weights(session.initial, corpus, plan.model))
    return trainer


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
