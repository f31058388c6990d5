"""The labels that lines are conditioned on: their names, their numbers, how frequent they are."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from charlm.errors import CorpusError, ModelFileError, UsageError

MAX_LABELS = 4096
MAX_JSON_BYTES = 900_000                  # bytes of them in a model file, whose description has a megabyte
_NAMED = 3                              # labels that a message names, at most


def _is_name(value: object) -> bool:
    """Whether this could have stood before the tab of a line."""
    return isinstance(value, str) and bool(value) and not re.search("[\t\n\ud800-\udfff]", value)


@dataclass(frozen=True)
class Labels:
    """Names in code point order, and the lines that the training text has of each."""

    names: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def from_counts(cls, counter: Counter[str]) -> Labels:
        """Raises CorpusError when these are no labels but nearly as many as there are lines."""
        if len(counter) > MAX_LABELS:
            raise CorpusError(f"{len(counter)} different labels; {MAX_LABELS} are the most; "
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
        """Raises UsageError naming those nearest to an unknown one."""
        try:
            return self.names.index(name)
        except ValueError:
            raise UsageError(f"no label {name!r}; {self._hint(name)}") from None

    def _hint(self, name: str) -> str:
        folded = {label.casefold(): label for label in self.names}
        near = difflib.get_close_matches(name.casefold(), folded, _NAMED, 0.5)
        if near:
            return f"did you mean {' or '.join(folded[label] for label in near)}?"
        some = ", ".join(self.names[:_NAMED])
        return f"there are {some}" + (f" and {len(self) - _NAMED} more" if len(self) > _NAMED else "")

    def log_prior(self, *, uniform: bool = False) -> np.ndarray:
        """Log probabilities (L,) of a line's label before the line is seen."""
        counts = np.ones(len(self)) if uniform else np.array(self.counts, np.float64)
        return np.log(counts / counts.sum())

    def to_json(self) -> list:
        return [list(pair) for pair in zip(self.names, self.counts)]

    @classmethod
    def from_json(cls, values: object) -> Labels:
        """Rebuild from `to_json`; raises ModelFileError for anything else."""
        sound = isinstance(values, list) and 0 < len(values) <= MAX_LABELS and all(
            isinstance(pair, list) and len(pair) == 2 and _is_name(pair[0])
            and type(pair[1]) is int and 0 < pair[1] < 1 << 53 for pair in values)
        if not sound:
            raise ModelFileError("its labels are not names with counts")
        names, counts = zip(*values)
        if list(names) != sorted(set(names)):
            raise ModelFileError("its labels are not names in order")
        return cls(names, counts)
