"""The tasks that a model can be trained for, one row each; no torch, no NumPy.

Everything that differs from task to task and is a plain fact is a column here. The code that serves a task (its corpus,
objective, evaluator, preview) is found through `charlm.registry`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Task:
    """One task, as the user names it: `charlm train --<name>`."""

    name: str
    help: str                           # help text of its flag
    stored_as: str                      # its name in model files; lines and labels share one
    verbs: tuple[str, ...]              # the commands that take its models
    next_command: str                   # what to try first, after `-m MODEL`
    last_choice: tuple[str, ...] = ()   # commands that prefer a model of another task, if there is one, by default
    default_encoder: str = "shared"
    reads_source: bool = False          # an encoder reads a text other than the one that is written
    reads_windows: bool = False         # a separate encoder, if there is one, reads the window of text before
    has_source_tokenizer: bool = False  # the source has its own tokenizer
    ends_with_eos: bool = True          # an example ends; False: running text
    extra_source_ids: int = 0           # special ids that the encoder reads beside the tokenizer's
    by_line: bool = False               # an example is one line, and lines of the training text are remembered
    has_labels: bool = False            # each example is conditioned on a label

    @property
    def model_phrase(self) -> str:
        """The noun phrase for one of its models, as used in messages: `a text model`."""
        return f"a {self.name} model"


_TEXT_VERBS = ("sample", "score", "filter", "eval", "view", "next")
_COMPRESS = ("compress", "decompress")
_ROWS = (
    Task("text", "Running text, tabs and all.", "stream", (*_TEXT_VERBS, *_COMPRESS), "sample --temp 0.8",
         reads_windows=True, ends_with_eos=False),
    Task("pairs", "Lines of source<TAB>target, for `translate`. Default for .tsv files and for files that begin "
         "with such lines.", "pairs", ("translate", "score", "filter", "classify", "eval", "view"), "translate",
         last_choice=("score", "filter", "classify"), default_encoder="bidirectional", reads_source=True,
         has_source_tokenizer=True),
    Task("lines", "Independent lines: names, records, verses.", "lines", (*_TEXT_VERBS, *_COMPRESS), "sample -N 10",
         by_line=True),
    Task("labels", "Lines of label<TAB>text, each conditioned on its label, for `sample --label` and `classify`.",
         "lines", ("classify", *_TEXT_VERBS), "sample -N 10", by_line=True, has_labels=True),
    Task("fill", "Running text with random gaps to learn from, for `fill`.", "fill", ("fill", "eval"), "fill --gap ___",
         default_encoder="bidirectional", reads_source=True, extra_source_ids=2),
)
TASKS = {task.name: task for task in _ROWS}
DEFAULT, DEFAULT_FOR_TSV = "text", "pairs"


def stored_task(stored: object, *, labelled: bool) -> Task | None:
    """Return the task that a model file means, or None if it names no task.

    >>> stored_task("stream", labelled=False).name, stored_task("lines", labelled=True).name
    ('text', 'labels')
    """
    rows = [task for task in _ROWS if task.stored_as == stored]
    return next((task for task in rows if task.has_labels == labelled), rows[0] if rows else None)


def tasks_for(verb: str) -> Iterator[Task]:
    """Yield the tasks whose models a command takes."""
    return (task for task in _ROWS if verb in task.verbs)
