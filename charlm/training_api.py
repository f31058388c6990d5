"""`charlm.train`: trains a model on texts in files or in memory, as the command does.

The steps are those of `charlm train`; only the source of texts and the destination of events differ. No signal handler
is installed: the run is in another thread, and Ctrl-C, a KeyboardInterrupt in this one, only asks it to stop.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from charlm.checkpoint import Checkpoint, Checkpoints
from charlm.config import CorpusConfig, check_keywords, to_flags
from charlm.errors import CharlmError, OptionError, UsageError
from charlm.events import Event, Planned, Saved, Stopped, Warned
from charlm.model import LanguageModel, load
from charlm.modelfile import Model, content_digest
from charlm.previews import preview
from charlm.provenance import Provenance, provenance_of
from charlm.reports.progress import Progress, Silent, choose_progress
from charlm.tasks import DEFAULT_FOR_TSV, TASKS
from charlm.text.in_memory import Path, TextInMemory, Texts, paths_or_texts
from charlm.text.reading import require_readable
from charlm.text.sources import expand, held_out_files
from charlm.training.defaults import check_early
from charlm.training.keywords import as_arguments, in_keywords, in_words_of_python
from charlm.training.options import TrainingOptions
from charlm.training.output import check_output, is_finished, reserved, resumed_checkpoint
from charlm.training.preparation import choose_start, open_corpus, read_corpus, require_same_corpus
from charlm.training.spinning import environment_for_torch
from charlm.training.starting_point import StartingPoint

if TYPE_CHECKING:
    from charlm.training.session import Session

OnEvent = Callable[[Event], object]


def train(texts: Texts, *, task: str | None = None, minutes: float | None = None, output: Path | None = None,
          on_event: OnEvent | None = None, seed: int | None = None, resume: bool = False, replace: bool = False,
          new_corpus: bool = False, init_from: Path | LanguageModel | None = None,
          validation: float | Texts | None = None, progress: bool = False, device: str = "auto",
          threads: int | None = None, checkpoint_every: float = 60.0, **options: Any) -> LanguageModel:
    """Train a model and return it.

    A str or a path object is the path of a file, and an iterable of path objects is several files. Any other iterable
    holds texts in memory: str for texts or lines, and tuples (source, target) or (label, text). They are read as if
    each were a line of one file. `validation` is a fraction, a path, or texts in memory.

    `task` is text, lines, labels, pairs or fill; by default, pairs are recognized and anything else is text. `options`
    are the fields of `charlm.training.options.TrainingOptions` and `charlm.config.CorpusConfig`, such as `hidden_size`
    and `tokenizer`; their defaults depend on the corpus.

    Without an `output` nothing remains on disk. With one, the best model so far is kept in that file, and checkpoints
    beside it, from which `resume=True` continues; `replace=True` replaces an existing model. `init_from` is the model
    to start from. `on_event` is called with every record of `charlm.events`. If it returns False or raises
    KeyboardInterrupt, or on Ctrl-C, the run stops and the best model is returned. Warnings are events or, without
    `on_event`, Python warnings. `progress=True` shows the command's progress.

    Raises TypeError for an unknown option and CharlmError for everything else that the command refuses.
    """
    began = time.monotonic()
    if on_event is not None and not callable(on_event):
        raise TypeError(f"on_event must be a function, not {on_event!r}")
    with in_words_of_python(), _path_for(output) as path:
        request = _request({"minutes": minutes, "seed": seed, **options}, validation, path=path, task=task, began=began,
                           keeps=output is not None, resume=resume, replace=replace, new_corpus=new_corpus,
                           init_from=init_from, device=device, threads=threads, checkpoint_every=checkpoint_every)
        listener = _Listener(on_event, choose_progress(quiet=False) if progress else Silent())
        return _Training(request, listener).model(texts)


@dataclass(frozen=True)
class _Request:
    """The options of a run, checked before a text is read."""

    path: str                           # of the model, which is removed at the end unless `keeps`
    keeps: bool
    task: str | None
    reading: CorpusConfig
    training: TrainingOptions
    held_out: TextInMemory | None       # held-out texts in memory
    resume: bool
    replace: bool
    new_corpus: bool
    init_from: Path | LanguageModel | None
    device: str
    threads: int | None
    checkpoint_every: float             # seconds
    began: float                        # time.monotonic()

    def __post_init__(self) -> None:
        if not self.path:
            raise OptionError("output", "-o/--output", "is empty; name a file, or leave it out")
        if self.task is not None and self.task not in TASKS:
            raise OptionError("task", "--task", f"must be one of {', '.join(TASKS)}, not {self.task!r}")
        if self.device not in ("auto", "cpu", "cuda"):
            raise OptionError("device", "--device", f"must be one of auto, cpu, cuda, not {self.device!r}")
        if self.threads is not None and (type(self.threads) is not int or not 1 <= self.threads <= 1024):
            raise OptionError("threads", "--threads", f"must be a whole number from 1 to 1024, not {self.threads!r}")
        if not isinstance(self.checkpoint_every, (int, float)) or not 0 <= self.checkpoint_every < 1e9:
            raise OptionError("checkpoint_every", "--checkpoint-every",
                              f"must be a number of seconds from 0 to 1e9, not {self.checkpoint_every!r}")
        if (self.resume or self.new_corpus) and not self.keeps:
            raise UsageError("--resume continues the run of an output; name it with -o")
        if self.resume and self.init_from is not None:
            raise UsageError("--init-from starts a run and --resume continues one; give one of them")
        check_early(self.task or DEFAULT_FOR_TSV, self.training)

    @property
    def flags(self) -> list[str]:
        """The options as flags of the command, without the length of the run."""
        given = {name: value for name, value in self.training.given.items() if name != "minutes"}
        reading = {name: value for name, value in vars(self.reading).items() if value is not None}
        return [*to_flags(CorpusConfig, reading), *to_flags(TrainingOptions, given)]


def _request(options: dict[str, Any], validation: float | Texts | None, **others: Any) -> _Request:
    """Build the request. Raises TypeError for an unknown option, OptionError for an invalid value."""
    reading, training = ({one.name for one in fields(config)} for config in (CorpusConfig, TrainingOptions))
    check_keywords(options, sorted({*reading, *training, *(train.__kwdefaults__ or {})}))
    held_out = None
    if isinstance(validation, bool):
        raise TypeError(f"validation must be a fraction, a path or texts, not {validation}")
    if isinstance(validation, (str, os.PathLike, int, float)):
        options["validation"] = str(os.fspath(validation) if isinstance(validation, os.PathLike) else validation)
    elif validation is not None:
        held_out = TextInMemory(validation, "validation")
    given = {name: value for name, value in options.items() if value is not None}
    return _Request(reading=CorpusConfig(**{name: given[name] for name in given.keys() & reading}),
                    training=TrainingOptions(**{name: given[name] for name in given.keys() & training}),
                    held_out=held_out, **others)


class _Listener:
    """The receiver of events, which may ask the run to stop."""

    def __init__(self, on_event: OnEvent | None, progress: Progress):
        self._on_event, self._progress = on_event, progress
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def stopped(self) -> bool:
        return self._stopped

    def warn(self, text: str) -> None:
        """Report a message of the command as a warning."""
        self.show(Warned(text.removeprefix("warning: ")))

    def show(self, event: Event) -> None:
        event = _in_words_of_python(event)
        if isinstance(event, Warned) and self._on_event is None and isinstance(self._progress, Silent):
            warnings.warn(event.message, stacklevel=_level_of_caller())
        try:
            self._progress.show(event)
            if self._on_event is not None and self._on_event(event) is False:
                self.stop()
        except KeyboardInterrupt:
            self.stop()

    def close(self) -> None:
        self._progress.close()


def _in_words_of_python(event: Event) -> Event:
    """Return an event with the command's options replaced by keywords in its texts."""
    if isinstance(event, Warned):
        return Warned(in_keywords(event.message))
    if isinstance(event, Planned):
        return replace(event, repeat=as_arguments(event.repeat))
    if isinstance(event, Stopped) and event.repeat_command:
        return replace(event, repeat_command=f"charlm.train(…, {as_arguments(event.repeat_command)})")
    return event


class _Training:
    """One run from its request to its model."""

    def __init__(self, request: _Request, listener: _Listener):
        self._request, self._listener = request, listener
        self._checkpoints = Checkpoints(request.path) if request.keeps else None

    def model(self, texts: Texts) -> LanguageModel:
        """Train and return the model."""
        request, checkpoints = self._request, self._checkpoints
        names, in_memory = paths_or_texts(texts, "texts")
        paths = [*expand(names).paths]
        with contextlib.ExitStack() as lock:
            if checkpoints is not None:
                check_output(request.path, [*paths, *held_out_files(request.reading.held_out)], checkpoints,
                             replace=request.replace or request.resume, resume_command="charlm.train with --resume")
                lock.enter_context(reserved(request.path, checkpoints))
            checkpoint = self._checkpoint()
            if request.resume and is_finished(request.path, checkpoint, self._listener.warn):
                return load(request.path)
            return self._train(self._start(checkpoint), paths, in_memory)

    def _checkpoint(self) -> Checkpoint | None:
        request, checkpoints = self._request, self._checkpoints
        if checkpoints is not None and request.resume:
            return resumed_checkpoint(request.path, checkpoints, self._listener.warn, force=request.replace)
        if checkpoints is not None and request.replace:
            checkpoints.supersede()
        return None

    def _start(self, checkpoint: Checkpoint | None) -> StartingPoint:
        name, model = _initial(self._request.init_from)
        return choose_start(checkpoint, name, self._request.task, model)

    def _train(self, start: StartingPoint, paths: list[str], in_memory: Any) -> LanguageModel:
        request, warn = self._request, self._listener.warn
        reading = start.corpus_config(request.reading, new_corpus=request.new_corpus)
        require_readable([*paths, *held_out_files(reading.held_out)])
        if not paths and (reading.csv_column or reading.json_field):
            raise UsageError("--csv-column and --json-field read files; for records in memory, pass their texts")
        texts = open_corpus(paths, reading, warn) if paths else [TextInMemory(in_memory, "texts")]
        corpus, task = read_corpus(texts, request.held_out, request.task, start, reading, warn)
        require_same_corpus(start, corpus, new_corpus=request.new_corpus)
        with environment_for_torch():
            from charlm.training.session import run
        events = run(corpus, task, start.training_options(request.training), self._session(start, reading, paths))
        path = ""
        with contextlib.closing(self._listener):
            for event in _from_another_thread(events, self._listener.stop):
                path = event.path if isinstance(event, Stopped) else path
                if request.keeps:
                    self._listener.show(event)
                elif not isinstance(event, Saved):      # a file that will be removed is of no interest
                    self._listener.show(replace(event, path="") if isinstance(event, Stopped) else event)
        if not path and not (request.resume and os.path.exists(request.path)):
            raise CharlmError("the run was stopped before its first update, so there is no model")
        return load(request.path)

    def _session(self, start: StartingPoint, reading: CorpusConfig, paths: list[str]) -> Session:
        from charlm.training.session import Session
        request = self._request
        return Session(request.path, request.device, request.threads, request.began, self._listener.stopped, start,
                       reading, preview, self._checkpoints, request.checkpoint_every, "charlm.train(…, resume=True)",
                       request.flags, provenance=self._provenance(start, paths))

    def _provenance(self, start: StartingPoint, paths: list[str]) -> Provenance:
        name, _ = _initial(self._request.init_from)
        return provenance_of("charlm.train", paths or ["texts in memory"], init_from=name or "",
                             init_digest=content_digest(start.initial) if start.initial else "")


def _level_of_caller() -> int:
    """Return the `stacklevel` that attributes a warning of the calling function to the caller of `train`."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "charlm":
        level, frame = level + 1, frame.f_back
    return level


def _initial(given: Path | LanguageModel | None) -> tuple[str | None, Model | None]:
    """Return the name of the model to start from, and the model if it is in memory."""
    if isinstance(given, LanguageModel):
        return "the model", given.stored
    return (None if given is None else str(os.fspath(given))), None


@contextlib.contextmanager
def _path_for(output: Path | None) -> Iterator[str]:
    """Yield the path of the model: the output, or a temporary file that is removed at the end."""
    if output is not None:
        yield os.fspath(output)
        return
    with tempfile.TemporaryDirectory(prefix="charlm-") as folder:
        yield os.path.join(folder, "model.charlm")


def _from_another_thread(events: Iterator[Event], stop: Callable[[], None]) -> Iterator[Event]:
    """Yield events that are produced in another thread. Ctrl-C, which arrives in this one, calls `stop` and waits."""
    with ThreadPoolExecutor(1, "charlm-train") as other:
        try:
            while True:
                made = other.submit(next, events, None)
                try:
                    event = made.result()
                except KeyboardInterrupt:
                    stop()
                    event = made.result()
                if event is None:
                    return
                yield event
        finally:
            other.submit(getattr(events, "close", bool)).result()
