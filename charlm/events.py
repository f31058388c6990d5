"""The events of a training run, as frozen records; losses are in nats per token unless a name says bits."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from charlm.tasks import DEFAULT, TASKS


@dataclass(frozen=True)
class Measuring:
    """The speed of this machine is measured, which the plan needs."""

    seconds: float                  # that it takes, apart from building the network
    note: str = ""                  # what --minutes counts in a resumed run


@dataclass(frozen=True)
class Planned:
    """The run is planned; no update has been made."""

    model: str                      # one readable line about the architecture
    corpus: str                     # one readable line: sizes of the two parts, vocabulary
    steps: int
    epochs: float
    seconds: float | None           # expected duration, if the plan is made from measured speed
    repeat: str                     # flags that, added to the same command, repeat the run bit for bit
    expected: float | None = None   # held-out loss, where there is a law for it


@dataclass(frozen=True)
class Resumed:
    """The run continues from a checkpoint."""

    step: int                       # updates done before


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
    updated: bool                   # False if the loss or the gradient was not finite
    layer_norms: dict[str, float] = field(default_factory=dict)     # of the gradient, before clipping, by layer


@dataclass(frozen=True)
class Validation:
    """A score of the whole held-out part."""

    step: int
    loss: float
    bits_per_character: float
    best: bool
    error_rate: float | None = None     # of pairs: share of targets that differ from the reference
    train_loss: float | None = None     # mean over the updates since the previous validation


@dataclass(frozen=True)
class Sampled:
    """A short sample from the current model."""

    text: str


@dataclass(frozen=True)
class Saved:
    """The best model so far has been written to disk."""

    path: str


@dataclass(frozen=True)
class Warned:
    """A message for the user about something that does not stop the run."""

    message: str


@dataclass(frozen=True)
class Stopped:
    """The run has ended."""

    reason: str                     # "finished", "patience" or "interrupted"
    step: int
    loss: float | None              # best validation loss; None if there was no validation
    bits_per_character: float | None
    path: str
    seconds: float
    error_rate: float | None = None
    task: str = DEFAULT
    resume_command: str = ""        # resumes an interrupted run
    repeat_command: str = ""        # repeats a run with --minutes bit for bit

    @property
    def next_command(self) -> str:
        """The command to type next; empty if no model was saved."""
        verb, _, options = TASKS[self.task].next_command.partition(" ")
        return f"charlm {verb} -m {shlex.quote(self.path)} {options}".rstrip() if self.path else ""


Event = Measuring | Planned | Resumed | Step | Validation | Sampled | Saved | Warned | Stopped
