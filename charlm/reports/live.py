"""Progress as a live panel on the terminal.

Everything that comes from the corpus or the model is printed as plain rich Text with its control characters made
visible: markup in a corpus must neither style the panel nor crash it.
"""

from __future__ import annotations

import math
import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from charlm.events import Event, Measuring, Planned, Resumed, Sampled, Saved, Step, Stopped, Validation, Warned
from charlm.history import History, Recorder
from charlm.reports.curves import format_duration, sparklines
from charlm.reports.visible import visible

REFRESH_INTERVAL = 0.25                 # seconds
SMOOTHING = 0.05                        # weight of the newest loss in the moving average
EXPECTED_ERROR = 0.05                   # of an expected loss, as a share of it, on a text new to the law
MAX_SAMPLE_LINES = 6
_LOSSES, _RATES = "  {:.4f} → {:.4f}", "  {:.2f} → {:.2f} %"        # the first and the last figure of a curve
ECHO = "^C"                             # the terminal echoes it after the panel: leave room, lest it wrap
_BESIDE_CURVES = len(ECHO) + 4 + len("held out") + 2        # frame, label and padding


def _key_metric(event: Validation | Stopped) -> str:
    """Return the figure by which the best model is chosen: the error rate if the task has one, else the loss."""
    return f"{event.loss:.4f}" if event.error_rate is None else f"{100 * event.error_rate:.2f} % wrong"


def _best(event: Validation) -> str:
    """Return the key metric and, where that is no loss, the loss that comes with it."""
    return _key_metric(event) + ("" if event.error_rate is None else f" at {event.loss:.4f}")


def _format_metrics(event: Validation | Stopped) -> str:
    errors = "" if event.error_rate is None else f"{_key_metric(event)} · "
    return f"{errors}{event.loss:.4f} nats/token · {event.bits_per_character:.4f} bits/character"


def _curves(history: History, width: int) -> dict[str, Text]:
    """Return the sparklines of a run by name, each with its first and last figure, in this many characters."""
    rows = (("loss", _LOSSES, history.loss, "cyan"), ("held out", _LOSSES, history.held_out_loss, "yellow"),
            ("wrong", _RATES, history.held_out_error_rate * 100, "yellow"))
    lines = sparklines(history, max(width - len(_LOSSES.format(9.9999, 9.9999)), 1))
    return {name: Text(line + figures.format(values[0], values[-1]), style=style, no_wrap=True)
            for (name, figures, values, style), line in zip(rows, lines, strict=True) if line}


class LivePanel:
    """A panel on stderr: progress bar, step, loss, speed, time left, loss curve, latest validation and sample."""

    def __init__(self, console: Console | None = None):
        self._console = console or Console(stderr=True, markup=False, emoji=False, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._started = False
        self._step: Step | None = None
        self._validation: Validation | None = None
        self._best: Validation | None = None
        self._sample = ""
        self._recorder = Recorder()
        self._smoothed_loss = math.nan
        self._last_refresh = 0.0

    def show(self, event: Event) -> None:
        """Update the panel; print above it what should remain on the screen."""
        if isinstance(event, Stopped):
            self._finish(event)
            return
        self._update(event)
        due = time.monotonic() - self._last_refresh > REFRESH_INTERVAL
        if self._started and (due or not isinstance(event, (Step, Saved))):
            self._last_refresh = time.monotonic()
            self._live.update(self.panel(), refresh=True)

    def close(self) -> None:
        """Remove the panel from the screen."""
        self._live.stop()

    def panel(self) -> Panel:
        """Return the panel as it is now."""
        step = self._step
        bar = Table.grid(expand=True)           # a ProgressBar alone does not end its line
        bar.add_row(ProgressBar(total=step.steps if step else 1, completed=step.step if step else 0))
        parts: list[RenderableType] = [bar, self._rows()]
        if self._sample:
            lines = self._sample.split("\n")[:MAX_SAMPLE_LINES]
            parts += [Text(""), Text("\n".join(lines), style="italic", no_wrap=True, overflow="ellipsis")]
        width = max(self._console.width - len(ECHO), 1)
        return Panel(Group(*parts), title=Text("charlm"), border_style="dim", width=width)

    def _rows(self) -> Table:
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim", no_wrap=True, min_width=len("held out"))
        rows.add_column(no_wrap=True, overflow="ellipsis")
        if step := self._step:
            rows.add_row("step", Text(f"{step.step:,} of {step.steps:,} · {format_duration(step.seconds_left)} left · "
                                      f"{step.characters_per_second:,.0f} characters/s"))
            rows.add_row("loss", Text(f"{self._smoothed_loss:.4f} nats/token · gradient norm {step.gradient_norm:.3f} "
                                      f"· rate {step.learning_rate:.2e}"))
        curves = _curves(self._recorder.history(), self._console.width - _BESIDE_CURVES)
        if "loss" in curves:
            rows.add_row("", curves["loss"])
        if self._validation and self._best:
            rows.add_row("held out", Text(f"{_format_metrics(self._validation)} · best {_best(self._best)}"))
            if "held out" in curves:
                rows.add_row("", curves["held out"])
            if self._validation.train_loss is not None:
                rows.add_row("training", Text(f"{self._validation.train_loss:.4f} nats/token since the validation "
                                              "before"))
            if "wrong" in curves:
                rows.add_row("wrong", curves["wrong"])
        return rows

    def _update(self, event: Event) -> None:
        match event:
            case Measuring():
                note = event.note and f" · {event.note}"
                self._print(f"measuring the speed of this machine for {event.seconds:.0f} s{note}")
            case Planned():
                self._start(event)
            case Resumed():
                self._print(f"resumed after {event.step:,} steps")
            case Step():
                self._update_step(event)
            case Validation():
                self._recorder.add_validation(event.step, loss=event.loss, error_rate=event.error_rate,
                                              bits_per_character=event.bits_per_character)
                self._validation = event
                self._best = event if event.best else self._best
            case Sampled():
                self._sample = visible(event.text)
            case Warned():
                self._print(f"warning: {event.message}")

    def _start(self, plan: Planned) -> None:
        duration = "" if plan.seconds is None else f", about {format_duration(plan.seconds)}"
        length = f"{plan.steps:,} steps, {plan.epochs:.3g} epochs{duration}"
        if plan.expected is not None:
            length += f", expected to reach {plan.expected:.2f} ± {EXPECTED_ERROR * plan.expected:.2f} nats per token"
        for line in (plan.model, plan.corpus, f"{length} · repeat with {plan.repeat}"):
            self._print(line)
        self._live.start()
        self._started = True

    def _update_step(self, step: Step) -> None:
        self._step = step
        if math.isfinite(step.loss):
            previous = step.loss if math.isnan(self._smoothed_loss) else self._smoothed_loss
            self._smoothed_loss = previous + SMOOTHING * (step.loss - previous)
            self._recorder.add_update(step.step, loss=step.loss, gradient_norm=step.gradient_norm,
                                      learning_rate=step.learning_rate, seconds=0.0)

    def _print(self, message: str) -> None:
        self._console.print(Text(visible(message)))

    def _finish(self, stopped: Stopped) -> None:
        self._live.stop()
        for name, curve in _curves(self._recorder.history(), self._console.width - _BESIDE_CURVES).items():
            self._print(f"{name:9} {curve}")
        if self._sample:
            self._print(self._sample)
        score = "not validated" if stopped.loss is None else f"{_format_metrics(stopped)} held out"
        self._print(f"{stopped.reason} after {stopped.step:,} steps in {format_duration(stopped.seconds)} · {score}")
        if stopped.path:
            self._print(f"saved {stopped.path} · next: {stopped.next_command}")
        elif stopped.loss is None:      # a validated model without a path is in memory
            self._print("no model was saved")
        if stopped.resume_command:
            self._print(f"resume with: {stopped.resume_command}")
        if stopped.repeat_command:
            self._print(f"repeat with: {stopped.repeat_command}")
