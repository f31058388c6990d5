"""The labels of lines: their names, their indices and their frequencies."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlm.contract import FloatArray
from charlm.errors import CorpusError, ModelFileError, UsageError

MAX_LABELS = 4096
MAX_JSON_BYTES = 900_000                # of all labels in a model file, whose metadata has at most a megabyte
_MAX_NAMED = 3                          # labels named in a message


def _is_name(value: object) -> bool:
    """Return True for what can precede the tab of a line."""
    return isinstance(value, str) and bool(value) and not re.search("[\t\n\ud800-\udfff]", value)


@dataclass(frozen=True)
class Labels:
    """Label names in code point order, and the number of lines of the training text with each."""

    names: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def from_counts(cls, counter: Counter[str]) -> Labels:
        """Build labels from the lines of each. Raises CorpusError if they are too many or too long to be labels."""
        if len(counter) > MAX_LABELS:
            raise CorpusError(f"{len(counter)} different labels; the maximum is {MAX_LABELS}; "
                              "--pairs learns to write them")
        names = tuple(sorted(counter))
        labels = cls(names, tuple(counter[name] for name in names))
        if len(json.dumps(json.dumps(labels.to_json()))) > MAX_JSON_BYTES:
            raise CorpusError(f"{len(counter)} labels with names too long for a model file; "
                              "--pairs learns to write them")
        return labels

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Return a label's index. Raises UsageError for an unknown label and names similar ones."""
        try:
            return self.names.index(name)
        except ValueError:
            raise UsageError(f"no label {name!r}; {self._hint(name)}") from None

    def _hint(self, name: str) -> str:
        folded = {label.casefold(): label for label in self.names}
        if near := difflib.get_close_matches(name.casefold(), folded, _MAX_NAMED, 0.5):
            return f"did you mean {' or '.join(folded[label] for label in near)}?"
        first = ", ".join(self.names[:_MAX_NAMED])
        return f"there are {first}" + (f" and {len(self) - _MAX_NAMED} more" if len(self) > _MAX_NAMED else "")

    def log_prior(self, *, uniform: bool = False) -> FloatArray:
        """Return the log probability (L,) of each label before a line is read."""
        counts = np.ones(len(self)) if uniform else np.array(self.counts, np.float64)
        prior: FloatArray = np.log(counts / counts.sum())
        return prior

    def to_json(self) -> list[list[Any]]:
        """Return [name, count] of each label."""
        return [list(pair) for pair in zip(self.names, self.counts, strict=True)]

    @classmethod
    def from_json(cls, values: Any) -> Labels:
        """Rebuild labels from `to_json`. Raises ModelFileError for anything else."""
        sound = isinstance(values, list) and 0 < len(values) <= MAX_LABELS and all(
            isinstance(pair, list) and len(pair) == 2 and _is_name(pair[0])
            and type(pair[1]) is int and 0 < pair[1] < 1 << 53 for pair in values)
        if not sound:
            raise ModelFileError("its labels are not names with counts")
        names, counts = zip(*values, strict=True)
        if list(names) != sorted(set(names)):
            raise ModelFileError("its labels are not in order")
        return cls(names, counts)
