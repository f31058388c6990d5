"""One training run from corpus to stored model: the plan first, then the trainer's events."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
from collections.abc import Callable, Generator, Iterator, Sequence

from charlm.checkpoint import Checkpoints
from charlm.config import DEFAULT_CELL, CorpusConfig, to_flags
from charlm.errors import DivergedError, ModelFileError, StorageError, UsageError
from charlm.events import Event, Planned, Resumed, Saved, Stopped, Validation, Warned
from charlm.modelfile import Model, save
from charlm.provenance import Provenance
from charlm.text.corpora import Corpus
from charlm.training.adaptation import store_findings
from charlm.training.checkpoint_state import restore, snapshot
from charlm.training.defaults import resolve, warning
from charlm.training.distributed import ProcessGroup
from charlm.training.environment import choose_device, choose_precision, differences, environment, set_up
from charlm.training.finetuning import initial_weights
from charlm.training.loop import CHECKPOINT_EVERY, TrainingState, train
from charlm.training.memory import require_memory
from charlm.training.options import TrainingOptions
from charlm.training.run import Run, make_model, resume_run, with_changes
from charlm.training.starting_point import StartingPoint
from charlm.training.time_plan import TimedRun, TimePlanner, expected_loss
from charlm.training.trainer import Trainer
from charlm.training.worker import Calls, Interrupted, Worker


@dataclasses.dataclass(frozen=True)
class Session:
    """The context of a run: where it writes, what it runs on, where it starts, and what may stop it."""

    output: str
    device: str
    threads: int | None
    began: float                        # time.monotonic() when the command began
    interrupted: Callable[[], bool]
    start: StartingPoint = StartingPoint()
    reading: CorpusConfig = CorpusConfig()      # how the corpus was read, kept for resuming
    preview: Callable[[Model, Corpus], str] | None = None       # a sample to look at
    checkpoints: Checkpoints | None = None      # where to write them; none are written if this is None
    checkpoint_every: float = CHECKPOINT_EVERY  # seconds
    resume_command: str = ""
    repeat_command: Sequence[str] = ()          # to which flags are added that repeat a run with --minutes
    process_group: ProcessGroup = ProcessGroup()
    provenance: Provenance = Provenance()       # of a new run; a resumed one keeps its own

    def should_stop(self) -> bool:
        """Return whether any of the processes has been asked to stop."""
        return self.process_group.any(self.interrupted())

    def resumable(self) -> bool:
        """Return whether there is a checkpoint from which the run can be resumed."""
        return self.checkpoints is not None and self.checkpoints.resumable()

    @contextlib.contextmanager
    def calls(self) -> Iterator[Calls]:
        """Make the long calls of one process interruptible; several processes have to take every step together."""
        if self.process_group.size > 1:
            yield Calls(self.should_stop)
            return
        worker = Worker(self.interrupted)
        try:
            yield worker
        finally:
            worker.close()


def run(corpus: Corpus, task: str, options: TrainingOptions, session: Session) -> Iterator[Event]:
    """Plan, train and store; each validation is followed by a preview, if the session has one.

    Raises UsageError for options that do not fit, ModelFileError for a bad checkpoint, StorageError or DivergedError.
    """
    with session.calls() as calls:
        try:
            yield from _run(corpus, task, options, session, calls)
        except Interrupted:             # before the first update of this session
            step = _saved_step(session)
            yield Stopped("interrupted", step, None, None, "", 0.0, task=task,
                          resume_command=session.resume_command if session.resumable() else "")


def _run(corpus: Corpus, task: str, options: TrainingOptions, session: Session, calls: Calls) -> Iterator[Event]:
    """Yield the events of a run. Raises Interrupted if it is stopped while it is built or measured."""
    saved = session.start.run
    before = saved.environment if saved is not None else {}
    device = choose_device(session.device, before.get("device"))
    threads = set_up(session.threads or before.get("threads"))
    here = environment(device=device, threads=threads, processes=session.process_group.size)
    precision = choose_precision(options.precision or "auto", device=device, cell=options.cell or DEFAULT_CELL)
    if options.precision == "bfloat16" != precision:
        yield Warned("--precision bfloat16: torch has no bfloat16 kernels for this cell on a CPU; training in float32")
    options = TrainingOptions(**options.given | {"precision": precision})
    plan = _plan(corpus, task, options, session, here)
    require_memory(plan.model, plan.config, corpus, device=device, processes=session.process_group.size)
    timed = None
    if plan.minutes is not None:
        planner = TimePlanner(lambda given: _plan(corpus, task, given, session, here),
                              lambda run: _trainer(run, corpus, session, device=device), options, began=session.began,
                              process_group=session.process_group, calls=calls)
        timed = yield from planner.timed(
            plan, corpus, lambda run, trainer: _first_checkpoint(run, trainer, corpus, session),
            fixed=session.start != StartingPoint(), done=_saved_step(session))
        plan = timed.run
    trainer = calls.run(lambda _: _trainer(plan, corpus, session, device=device))
    state = TrainingState()
    if saved is not None and (checkpoint := session.start.checkpoint) is not None:
        plan, state = with_changes(saved, plan), calls.run(lambda _: restore(checkpoint, trainer))
        if saved.corpus["corpus_digest"] != corpus.digest:
            state = state.without_best()
    passes = plan.config.steps / trainer.objective.updates_per_epoch
    yield Planned(plan.model.describe(), corpus.describe(), plan.config.steps, passes, timed.seconds if timed else None,
                  f"--steps {plan.config.steps} --seed {plan.config.seed} --threads {threads}",
                  None if session.start.initial else expected_loss(plan, corpus, passes))
    if saved is None and (problem := warning(corpus)):
        yield Warned(problem)
    if saved is not None:
        yield Resumed(state.step)
        if changed := differences(before, here):
            yield Warned(f"{changed}; the weights will not be bit-identical to those of an uninterrupted run")
    running = _RunningSession(corpus, plan, session, trainer, calls, state)
    for event in running.events(timed):
        if isinstance(event, Stopped) and timed and saved is None and event.reason != "interrupted":
            event = dataclasses.replace(event, repeat_command=shlex.join(
                [*session.repeat_command, *_repeat_flags(running.run, corpus, options, threads)]))
        yield event


def _repeat_flags(run: Run, corpus: Corpus, options: TrainingOptions, threads: int) -> list[str]:
    """Return the flags that make a run without --minutes of what this one became."""
    given = {name: value for name, value in options.given.items() if name != "minutes"}
    flags = []
    for config, automatic in zip((run.model, run.config), resolve(run.task, TrainingOptions(**given), corpus),
                                 strict=True):
        changed = {name: value for name, value in vars(config).items()
                   if value != getattr(automatic, name) or name in ("steps", "seed") and name not in given}
        flags += to_flags(type(config), changed)
    return [*flags, "--threads", str(threads)]


def _first_checkpoint(run: Run, trainer: Trainer, corpus: Corpus, session: Session) -> Generator[Event, None, None]:
    """Store the start of a run that is still to be planned, so that it can be resumed without its options."""
    if session.start.checkpoint or not (session.checkpoints and session.process_group.is_main):
        return
    try:
        session.checkpoints.save(snapshot(run, corpus, trainer, TrainingState()))
    except StorageError as error:
        yield Warned(f"{error}; will try again once the speed has been measured")


def _saved_step(session: Session) -> int:
    """Return the number of updates that are done when the session begins."""
    return int(session.start.checkpoint.run["state"]["step"]) if session.start.checkpoint else 0


def _plan(corpus: Corpus, task: str, options: TrainingOptions, session: Session, here: dict) -> Run:
    """Return the run that the options make of the corpus, new or resumed."""
    model, config = resolve(task, options, corpus)
    saved = session.start.run
    plan = Run(model, config, task, session.reading, corpus.metadata(), here, provenance=session.provenance) \
        if saved is None else resume_run(saved, model, config, corpus)
    if options.minutes is None and config.steps < _saved_step(session):
        raise UsageError(f"the run is at step {_saved_step(session)} already, beyond the {config.steps} that it is to "
                         "have; name a greater length")
    if plan.config.batch_size < session.process_group.size:
        raise UsageError(f"--batch-size {plan.config.batch_size} is less than one for each of "
                         f"{session.process_group.size} processes")
    if plan.config.batch_size < session.process_group.size * plan.config.accumulate:
        raise UsageError(f"--accumulate {plan.config.accumulate} asks for more parts than each process has rows of "
                         f"--batch-size {plan.config.batch_size}; lower it, or raise --batch-size")
    return dataclasses.replace(plan, minutes=options.minutes)


class _RunningSession:
    """A planned run, its events, and the files that it writes."""

    def __init__(self, corpus: Corpus, plan: Run, session: Session, trainer: Trainer, calls: Calls,
                 state: TrainingState):
        self._corpus, self._plan, self._session, self._trainer, self._calls = corpus, plan, session, trainer, calls
        self._state = state

    def events(self, timed: TimedRun | None) -> Iterator[Event]:
        """Yield the loop's events; at the end add the resume command or remove the checkpoints."""
        session, checkpoints = self._session, self._session.checkpoints
        for event in self._trained(timed):
            if isinstance(event, Stopped) and event.reason != "interrupted":
                yield from self._complete_history(event)
                yield from self._store_adaptation(event.path)
                if checkpoints:
                    yield from self._remove_checkpoints(checkpoints)
            elif isinstance(event, Stopped) and checkpoints:
                event = dataclasses.replace(event, resume_command=session.resume_command)
            yield event

    def _complete_history(self, stopped: Stopped) -> Iterator[Saved | Warned]:
        """Store the best model of a finished run once more if its history went on after it."""
        state = self._state
        if state.best is None or state.best_weights is None or state.best.step == stopped.step:
            return
        try:
            if path := self._keep(state.best_weights, state.best):
                yield Saved(path)
        except StorageError as error:
            yield Warned(f"{error}; the model is stored, without the history after its best validation")

    def _preview(self, weights: dict, validation: Validation) -> str:
        """Return a sample of the model that has just been validated, or nothing if the session wants none."""
        preview = self._session.preview
        return preview(self._model(weights, validation), self._corpus) if preview else ""

    @property
    def run(self) -> Run:
        """The run as it is now: its length may have changed."""
        return dataclasses.replace(self._plan, config=self._trainer.run)

    def _trained(self, timed: TimedRun | None) -> Iterator[Event]:
        """Yield the loop's events; an error names the command that resumes, if there is a checkpoint."""
        session, checkpoints = self._session, self._session.checkpoints
        try:
            yield from train(self._trainer, keep=self._keep, calls=self._calls, state=self._state,
                             checkpoint=self._checkpoint if checkpoints else None,
                             checkpoint_every=session.checkpoint_every, deadline=timed.deadline if timed else None,
                             validation_seconds=timed.validation if timed else 0.0, preview=self._preview)
        except (StorageError, DivergedError) as error:
            if not (checkpoints and checkpoints.exist()):
                raise
            raise type(error)(f"{error}; resume from the last checkpoint with: {session.resume_command}") from None

    def _store_adaptation(self, path: str) -> Iterator[Warned]:
        """Store the findings about the model on held-out text, unless the run is stopped meanwhile."""
        if not path:
            return
        # Only one process has a path, so it cannot ask the others whether to stop.
        calls = self._calls if self._session.process_group.size == 1 else Calls()
        try:
            calls.run(lambda commit: store_findings(path, self._corpus, commit))
        except Interrupted:
            return
        except (ModelFileError, StorageError) as error:
            yield Warned(f"{error}; the model is stored with the usual settings of --adapt")

    def _remove_checkpoints(self, checkpoints: Checkpoints) -> Iterator[Warned]:
        """Remove the checkpoints of a finished run."""
        try:
            if self._session.process_group.is_main:
                checkpoints.remove()
        except StorageError as error:
            yield Warned(f"{error}; the model is stored, so the checkpoint can be deleted")

    def _checkpoint(self, state: TrainingState) -> None:
        checkpoint = snapshot(self.run, self._corpus, self._trainer, state)       # gathers from all processes
        if self._session.process_group.is_main and self._session.checkpoints:
            self._session.checkpoints.save(checkpoint)

    def _keep(self, weights: dict, validation: Validation | None) -> str:
        output = self._session.output
        if not self._session.process_group.is_main or validation is None and os.path.exists(output):
            return ""                   # a model that was never validated never replaces another
        save(output, self._model(weights, validation))
        return output

    def _model(self, weights: dict, validation: Validation | None) -> Model:
        arrays = {name: values.numpy() for name, values in weights.items()}
        return make_model(self.run, self._corpus, arrays, validation, history=self._state.history.history(),
                          seconds=self._state.seconds)


def _trainer(plan: Run, corpus: Corpus, session: Session, *, device: str) -> Trainer:
    """Return a trainer that has not made a step yet."""
    trainer = Trainer(corpus, plan.model, plan.config, device=device, task=plan.task,
                      process_group=session.process_group)
    if session.start.initial:
        trainer.load_initial_weights(initial_weights(session.start.initial, corpus, plan.model))
    return trainer
