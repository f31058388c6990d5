"""The run that makes the best of a given time: its width, its dropout and its steps, from the measured speed.

For running text the width comes from the law in scaling.py. Where the user chooses the network, or continues a run or a
model, and for other tasks, the network stays and only the steps follow from the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from charlm.events import Event, Measuring
from charlm.text.corpora import Corpus
from charlm.text.text_corpus import TextCorpus
from charlm.training.deadline import Deadline
from charlm.training.distributed import ProcessGroup
from charlm.training.options import TrainingOptions
from charlm.training.run import Run
from charlm.training.scaling import expected_loss_at, expected_text_loss, relative_cost, text_dropout
from charlm.training.speed import Speed, measure
from charlm.training.trainer import Trainer
from charlm.training.worker import Calls, Interrupted
from charlm.training.yardstick import text_yardsticks

SIZES = (64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768)
MIN_MEASURED = 1.0                      # seconds spent on measuring one speed
MEASURED_SHARE = 0.02                   # of the time that the run has
MAX_MEASURED = 5.0                      # seconds
FINISHING = 0.5                         # seconds kept for saving and exiting
_NETWORK = ("hidden_size", "cell", "num_layers", "embedding_size", "tied", "encoder", "batch_size", "bptt", "optimizer")

Plan = Callable[[TrainingOptions], Run]


@dataclass(frozen=True)
class TimedRun:
    """A run that is planned to end at a deadline."""

    run: Run
    deadline: Deadline
    seconds: float                      # of training and validating that are expected
    validation: float                   # seconds of one validation


def follows_the_law(run: Run) -> bool:
    """Return whether the law of scaling.py was measured with such networks."""
    model, config = run.model, run.config
    return (run.task == "text" and model.cell == "lstm" and model.num_layers == 2 and not model.has_source
            and not model.tied and config.optimizer == "muon")


def expected_loss(run: Run, corpus: Corpus, passes: float) -> float | None:
    """Return the held-out loss that the law expects, in nats per token; None where it says nothing."""
    if not (isinstance(corpus, TextCorpus) and follows_the_law(run)):
        return None
    yardsticks = text_yardsticks(corpus.train, corpus.validation, corpus.tokenizer.size)
    return expected_loss_at(yardsticks, len(corpus.train), run.model.hidden_size, passes, run.config.steps)


def best_text_size(tokens: int, passes: float, measured: int) -> int:
    """Return the width with the least expected loss, if one of `measured` width makes `passes` in the time there is."""
    def loss(size: int) -> float:
        return expected_text_loss(1.0, tokens, size, passes * relative_cost(measured) / relative_cost(size))

    return min(SIZES, key=loss)


class TimePlanner:
    """Plans one run for a budget of seconds, counted from when the command began."""

    def __init__(self, plan: Plan, build: Callable[[Run], Trainer], options: TrainingOptions, *, began: float,
                 process_group: ProcessGroup, calls: Calls):
        self._plan, self._given = plan, {name: value for name, value in options.given.items() if name != "minutes"}
        self._build, self._began, self._group, self._calls = build, began, process_group, calls
        self._budget = 60 * (options.minutes or 0.0)
        self._measured = min(max(MIN_MEASURED, MEASURED_SHARE * self._budget), MAX_MEASURED)

    def timed(self, first: Run, corpus: Corpus, save: Callable[[Run, Trainer], Generator[Event, None, None]], *,
              fixed: bool, done: int) -> Generator[Event, None, TimedRun]:
        """Measure and return the planned run, starting with the plan for no given time.

        `save` stores the start of the first run. If the network is `fixed`, only the steps follow from the time; `done`
        of them are behind.
        """
        note = f"--minutes {self._budget / 60:g} counts from now on, after {done:,} steps" if done else ""
        yield Measuring(self._measured, note)
        trainer = self._calls.run(lambda _: self._build(first))
        yield from save(first, trainer)
        run, speed = first, self._speed(trainer)
        chooses = follows_the_law(first) and not fixed
        if chooses and isinstance(corpus, TextCorpus) and not any(name in self._given for name in _NETWORK):
            passes = self._steps(trainer, speed) / trainer.objective.updates_per_epoch
            size = self._group.broadcast(
                best_text_size(len(corpus.train), passes, run.model.hidden_size))
            if size != run.model.hidden_size:
                run = self._replanned(hidden_size=size)
                trainer = self._calls.run(lambda _: self._build(run))
                speed = self._speed(trainer)
        steps = self._group.broadcast(done + self._steps(trainer, speed))
        if chooses and isinstance(corpus, TextCorpus):
            run = self._replanned(hidden_size=run.model.hidden_size, **self._dropout(run, corpus, trainer, steps))
        run = replace(run, config=replace(run.config, steps=steps), minutes=None)
        window, held_out = trainer.objective.tokens_per_update, trainer.objective.validation_tokens
        now = self._group.clock()
        ends_at = now + self._left()
        return TimedRun(run, Deadline(ends_at, self._budget), speed.duration(steps - done, window, held_out),
                        speed.validation)

    def _replanned(self, **changes: object) -> Run:
        return self._plan(TrainingOptions(**{"patience": 0, **self._given, **changes}))

    def _dropout(self, run: Run, corpus: TextCorpus, trainer: Trainer, steps: int) -> dict[str, float]:
        if "dropout" in self._given:
            return {}
        passes = steps / trainer.objective.updates_per_epoch
        return {"dropout": text_dropout(len(corpus.train), run.model.hidden_size, passes)}

    def _speed(self, trainer: Trainer) -> Speed:
        """Return the speed of a disposable trainer. Raises Interrupted if the run is to stop."""
        speed = self._calls.run(lambda _: measure(trainer, seconds=self._measured,
                                                  interrupted=self._calls.interrupted))
        if self._calls.interrupted():   # then it measured too little to plan from
            raise Interrupted
        return speed

    def _left(self) -> float:
        """Return the seconds of the budget that are left for training."""
        return self._budget - (time.monotonic() - self._began) - FINISHING

    def _steps(self, trainer: Trainer, speed: Speed) -> int:
        return speed.steps_within(self._left(), trainer.objective.tokens_per_update,
                                  trainer.objective.validation_tokens)
