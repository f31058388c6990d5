"""What a training run reports, one frozen record an event.

A trainer yields these and knows no terminal; `charlm.reports` draws them and knows no trainer.
Losses are in nats per token unless a name says bits.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from charlm.tasks import DEFAULT, TASKS


@dataclass(frozen=True)
class Planned:
    """The run is decided, nothing is trained yet."""

    model: str                      # one readable line of the architecture
    corpus: str                     # one readable line: sizes of the two parts, vocabulary
    steps: int
    epochs: float
    seconds: float | None           # expected, if the plan is made from measured speed
    repeat: str                     # added to the same command, these repeat the run bit for bit


@dataclass(frozen=True)
class Resumed:
    """The run goes on from a checkpoint."""

    step: int                       # updates that were done before


@dataclass(frozen=True)
class Step:
    """One update of the weights."""

    step: int                       # updates done, 1-based
    steps: int
    loss: float                     # of this window
    gradient_norm: float            # global, before clipping
    learning_rate: float
    characters_per_second: float
    seconds_left: float
    updated: bool                   # False when the loss or gradient was not finite


@dataclass(frozen=True)
class Validation:
    """The whole held-out part, scored."""

    step: int
    loss: float
    bits_per_character: float
    best: bool
    error_rate: float | None = None     # share of targets not written exactly, of pairs


@dataclass(frozen=True)
class Sampled:
    """A few characters in the model's present manner."""

    text: str


@dataclass(frozen=True)
class Saved:
    """The best model so far is on disk."""

    path: str


@dataclass(frozen=True)
class Warned:
    """Something the user should know that does not stop the run."""

    message: str


@dataclass(frozen=True)
class Stopped:
    """The run is over."""

    reason: str                     # "finished", "patience" or "interrupted"
    step: int
    loss: float | None              # best validation loss; None when none was measured
    bits_per_character: float | None
    path: str
    seconds: float
    error_rate: float | None = None
    task: str = DEFAULT
    resume_command: str = ""        # of an interrupted run

    @property
    def next_command(self) -> str:
        """The command to type next; empty if no model was stored."""
        verb, _, options = TASKS[self.task].next_command.partition(" ")
        return f"charlm {verb} -m {shlex.quote(self.path)} {options}".rstrip() if self.path else ""


Event = Planned | Resumed | Step | Validation | Sampled | Saved | Warned | Stopped
