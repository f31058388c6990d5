"""Progress as a live panel on the terminal.

Everything of the corpus or the model is plain rich Text, control characters made visible: markup in
a corpus must neither colour the panel nor crash it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from charlm.events import Event, Planned, Resumed, Sampled, Saved, Step, Stopped, Validation, Warned
from charlm.reports.visible import visible

REFRESH = 0.25                          # seconds
SMOOTHING = 0.05                        # weight of a new loss in the one shown
SAMPLE_LINES = 6
CURVE = 40                              # characters
MAX_POINTS = 2000
ECHO = "^C"                             # of the terminal, behind the panel; wrapped, it would keep it from going


def _duration(seconds: float) -> str:
    whole = max(int(seconds + 0.5), 0)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _measured(record: Validation | Stopped) -> str:
    errors = "" if record.error_rate is None else f"{_key_figure(record)} · "
    return f"{errors}{record.loss:.4f} nats/token · {record.bits_per_character:.4f} bits/character"


def _key_figure(record: Validation | Stopped) -> str:
    """What decides which model is the best: errors where the task has any, else the loss."""
    return f"{record.loss:.4f}" if record.error_rate is None else f"{100 * record.error_rate:.2f} % wrong"


class Live:
    """A panel on stderr: bar, step, loss, speed, time left, curve, latest validation and sample."""

    def __init__(self, console: Console | None = None):
        self._console = console or Console(stderr=True, markup=False, emoji=False, highlight=False)
        self._live = RichLive(console=self._console, auto_refresh=False, transient=True)
        self._plan: Planned | None = None
        self._step: Step | None = None
        self._validation: Validation | None = None
        self._best: Validation | None = None
        self._sample = ""
        self._losses: list[float] = []
        self._smooth = math.nan
        self._drawn = 0.0

    def show(self, record: Event) -> None:
        if isinstance(record, Planned):
            self._plan = record
            self._say(record.model)
            self._say(record.corpus)
            self._say(f"{record.steps:,} steps, {record.epochs:.3g} epochs, about "
                      f"{_duration(record.seconds)} · repeat with {record.repeat}")
            self._live.start()
        elif isinstance(record, Resumed):
            self._say(f"resumed after {record.step:,} steps")
        elif isinstance(record, Step):
            self._note(record)
        elif isinstance(record, Validation):
            self._validation = record
            self._best = record if record.best else self._best
        elif isinstance(record, Sampled):
            self._sample = visible(record.text)
        elif isinstance(record, Warned):
            self._say(f"warning: {record.message}")
        elif isinstance(record, Stopped):
            self._finish(record)
            return
        if self._plan and (not isinstance(record, (Step, Saved))
                           or time.monotonic() - self._drawn > REFRESH):
            self._drawn = time.monotonic()
            self._live.update(self.panel(), refresh=True)

    def close(self) -> None:
        self._live.stop()

    def panel(self) -> Panel:
        """What is on the screen now."""
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim", no_wrap=True, min_width=len("held out"))
        rows.add_column(no_wrap=True, overflow="ellipsis")
        step = self._step
        if step:
            rows.add_row("step", Text(f"{step.step:,} of {step.steps:,} · {_duration(step.seconds_left)} "
                                      f"left · {step.characters_per_second:,.0f} characters/s"))
            rows.add_row("loss", Text(f"{self._smooth:.4f} nats/token · gradient norm "
                                      f"{step.gradient_norm:.3f} · rate {step.learning_rate:.2e}"))
            rows.add_row("", Text(sparkline(self._losses, CURVE), style="cyan"))
        if self._validation and self._best:
            rows.add_row("held out", Text(f"{_measured(self._validation)} · best {_key_figure(self._best)}"))
        bar = Table.grid(expand=True)           # a bar alone does not end its line
        bar.add_row(ProgressBar(total=step.steps if step else 1, completed=step.step if step else 0))
        parts = [bar, rows]
        if self._sample:
            lines = self._sample.split("\n")[:SAMPLE_LINES]
            parts += [Text(""), Text("\n".join(lines), style="italic", no_wrap=True, overflow="ellipsis")]
        width = max(self._console.width - len(ECHO), 1)
        return Panel(Group(*parts), title=Text("charlm"), border_style="dim", width=width)

    def _note(self, step: Step) -> None:
        self._step = step
        if math.isfinite(step.loss):
            known = math.isfinite(self._smooth)
            self._smooth += SMOOTHING * (step.loss - self._smooth) if known else 0.0
            self._smooth = self._smooth if known else step.loss
            self._losses.append(step.loss)
            if len(self._losses) > MAX_POINTS:     # keep the curve, not every step of a long run
                self._losses = [(a + b) / 2 for a, b in zip(self._losses[::2], self._losses[1::2])]

    def _say(self, message: str) -> None:
        self._console.print(Text(visible(message)))

    def _finish(self, stopped: Stopped) -> None:
        self._live.stop()
        if self._losses:
            self._say(f"loss {sparkline(self._losses, CURVE)} {self._smooth:.4f}")
        if self._sample:
            self._say(self._sample)
        score = "not validated" if stopped.loss is None else f"{_measured(stopped)} held out"
        self._say(f"{stopped.reason} after {stopped.step:,} steps in {_duration(stopped.seconds)} · {score}")
        self._say(f"saved {stopped.path} · next: {stopped.next_command}" if stopped.path
                  else "no model was saved")
        if stopped.resume_command:
            self._say(f"resume with: {stopped.resume_command}")


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """At most `width` bars for the finite values, averaged in equal groups, low to high.

    >>> sparkline([0, 1, 2, 3], 4)
    '▁▃▆█'
    """
    finite = [value for value in values if abs(value) < float("inf")]
    if not finite or width < 1:
        return ""
    count = min(width, len(finite))
    edges = [len(finite) * place // count for place in range(count + 1)]
    means = [sum(finite[a:b]) / (b - a) for a, b in zip(edges, edges[1:])]
    low, span = min(means), (max(means) - min(means)) or 1.0
    return "".join(_BARS[round((mean - low) / span * (len(_BARS) - 1))] for mean in means)
