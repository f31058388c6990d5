"""The story of a training run: its curves and samples, in the same size however long the run is.

    Recorder.add_update, add_validation, add_sample  ─►  Recorder.history()  ─►  History  ⇄  tensors of a file

Values are rounded to float32 as soon as they are recorded, so a run that is resumed records the same bits.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from charlm.errors import ModelFileError
from charlm.thinning import Thinned

MAX_POINTS = 1000                       # of the training curve
MAX_VALIDATIONS = 200
MAX_SAMPLES = 20
MAX_LAYER_BYTES = 16_000                # for the gradient norms of layers, with their steps and names
MAX_SAMPLE_BYTES = 800                  # of UTF-8
PREFIX = "history."                     # of the names of its tensors
SERIES = ("points", "validations", "samples", "layers")
_MAX_STEP = (1 << 32) - 1

Row = TypeVar("Row")
Floats = NDArray[np.float32]
Steps = NDArray[np.uint32]


class Point(NamedTuple):
    """The updates since the point before: the mean of their losses and gradient norms, and what the last one had."""

    step: int
    loss: float                         # nats per token
    gradient_norm: float                # before clipping
    learning_rate: float
    seconds: float                      # trained so far


class LayerNorms(NamedTuple):
    """The gradient norms of all layers: means over the updates since the previous row."""

    step: int
    norms: tuple[float, ...]            # before clipping


class HeldOut(NamedTuple):
    """One validation."""

    step: int
    loss: float                         # nats per token
    bits_per_character: float
    error_rate: float | None


class Sample(NamedTuple):
    """A text that the model wrote at a step."""

    step: int
    text: str


def _round(value: float) -> float:
    return float(np.float32(value))


def _mean_point(mean: Point, new: Point, count: int) -> Point:
    """Return a point with the mean of `count` losses and gradient norms, of which all but the last are in `mean`."""
    return new._replace(loss=_round(mean.loss + (new.loss - mean.loss) / count),
                        gradient_norm=_round(mean.gradient_norm + (new.gradient_norm - mean.gradient_norm) / count))


def _mean_norms(mean: LayerNorms, new: LayerNorms, count: int) -> LayerNorms:
    """Return the means of `count` rows, given the mean of all but the last, and the last one, `new`."""
    return LayerNorms(new.step, tuple(_round(old + (norm - old) / count)
                                      for old, norm in zip(mean.norms, new.norms, strict=True)))


def max_layer_rows(names: Iterable[str]) -> int:
    """Return the maximum number of rows of gradient norms in a history: fewer for deeper networks."""
    sizes = [len(name) + 1 for name in names]
    return max(min((MAX_LAYER_BYTES - sum(sizes)) // (4 + 4 * len(sizes)), MAX_POINTS), 2)


def _latest(_: Row, new: Row, __: int) -> Row:
    return new


class Recorder:
    """The history of a run in progress."""

    def __init__(self) -> None:
        self.points: Thinned[Point] = Thinned(MAX_POINTS, _mean_point)
        self.validations: Thinned[HeldOut] = Thinned(MAX_VALIDATIONS, _latest)
        self.samples: Thinned[Sample] = Thinned(MAX_SAMPLES, _latest)
        self.layer_names: tuple[str, ...] = ()      # set by the first update
        self.layers: Thinned[LayerNorms] = Thinned(MAX_POINTS, _mean_norms)

    def add_update(self, step: int, *, loss: float, gradient_norm: float, learning_rate: float, seconds: float,
                   layer_norms: Mapping[str, float] = MappingProxyType({})) -> None:
        """Record an update that was applied; `layer_norms` are the gradient norms of the same layers each time."""
        step = min(step, _MAX_STEP)
        self.points.add(Point(step, *map(_round, (loss, gradient_norm, learning_rate, seconds))))
        if layer_norms:
            if not self.layer_names:
                self._name_layers(tuple(layer_norms))
            self.layers.add(LayerNorms(step, tuple(_round(layer_norms[name]) for name in self.layer_names)))

    def _name_layers(self, names: tuple[str, ...]) -> None:
        self.layer_names, self.layers = names, Thinned(max_layer_rows(names), _mean_norms)

    def add_validation(self, step: int, *, loss: float, bits_per_character: float, error_rate: float | None) -> None:
        """Record a validation, unless its loss is not finite."""
        if math.isfinite(loss):
            self.validations.add(HeldOut(min(step, _MAX_STEP), _round(loss), _round(bits_per_character),
                                         None if error_rate is None else _round(error_rate)))

    def add_sample(self, step: int, text: str) -> None:
        """Record a sample, shortened where it is long."""
        data = re.sub("[\ud800-\udfff]", "\ufffd", text).encode()[:MAX_SAMPLE_BYTES]       # bytes that are not UTF-8
        self.samples.add(Sample(min(step, _MAX_STEP), data.decode("utf-8", "ignore")))

    def counts(self) -> dict[str, int]:
        """Return how many rows were added to each series, which `restore` needs beside the history."""
        return {name: getattr(self, name).count for name in SERIES}

    def history(self) -> History:
        """Return the history so far."""
        points, validations = self.points.rows, self.validations.rows
        rates = [row.error_rate for row in validations if row.error_rate is not None]
        layers = self.layers.rows
        norms = np.array([row.norms for row in layers], np.float32).reshape(len(layers), len(self.layer_names))
        return History(
            _steps(points), _column(points, "loss"), _column(points, "gradient_norm"),
            _column(points, "learning_rate"), _column(points, "seconds"), _steps(validations),
            _column(validations, "loss"), _column(validations, "bits_per_character"), np.array(rates, np.float32),
            tuple(self.samples.rows), self.layer_names, _steps(layers), norms)

    @classmethod
    def restore(cls, history: History, counts: Mapping[str, int]) -> Recorder:
        """Return the recorder that had this history and these counts. Raises ValueError if they do not fit."""
        recorder = cls()
        recorder.points.restore(history.points(), counts["points"])
        recorder.validations.restore(history.validations(), counts["validations"])
        recorder.samples.restore(list(history.samples), counts["samples"])
        if history.layer_names:
            recorder._name_layers(history.layer_names)
        recorder.layers.restore(history.layers(), counts.get("layers", 0))
        return recorder


def _steps(rows: list[Any]) -> Steps:
    return np.array([row.step for row in rows], np.uint32)


def _column(rows: list[Any], name: str) -> Floats:
    return np.array([getattr(row, name) for row in rows], np.float32)


@dataclass(frozen=True, eq=False)
class History:
    """The history of a run: parallel arrays of the training curve, of the validations, and samples."""

    steps: Steps                        # (N,), increasing
    loss: Floats                        # (N,), nats per token: the mean of the updates since the point before
    gradient_norm: Floats               # (N,), before clipping, the mean as well
    learning_rate: Floats               # (N,), of the point's last update
    seconds: Floats                     # (N,), trained so far; (0,) where times are left out
    held_out_steps: Steps               # (M,), increasing
    held_out_loss: Floats               # (M,), nats per token
    held_out_bits_per_character: Floats  # (M,)
    held_out_error_rate: Floats         # (M,); (0,) for tasks that have none
    samples: tuple[Sample, ...]
    layer_names: tuple[str, ...] = ()   # (L,), empty in older files
    layer_steps: Steps = field(default_factory=lambda: np.zeros(0, np.uint32))                 # (K,), increasing
    layer_norms: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))          # (K, L), before clipping

    def points(self) -> list[Point]:
        """Return the training curve as rows; seconds are 0 where times are left out."""
        seconds = self.seconds if len(self.seconds) else np.zeros(len(self.steps), np.float32)
        columns = (self.steps, self.loss, self.gradient_norm, self.learning_rate, seconds)
        return list(itertools.starmap(Point, zip(*(column.tolist() for column in columns), strict=True)))

    def validations(self) -> list[HeldOut]:
        """Return the validations as rows."""
        rates = self.held_out_error_rate.tolist() or [None] * len(self.held_out_steps)
        columns = (self.held_out_steps, self.held_out_loss, self.held_out_bits_per_character)
        return list(itertools.starmap(HeldOut, zip(*(column.tolist() for column in columns), rates, strict=True)))

    def layers(self) -> list[LayerNorms]:
        """Return the gradient norms of layers as rows."""
        return list(map(LayerNorms, self.layer_steps.tolist(), map(tuple, self.layer_norms.tolist())))

    def without_seconds(self) -> History:
        """Return this history without times, which no second run repeats."""
        return replace(self, seconds=np.zeros(0, np.float32))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, numbers rounded to six digits, for `info --jsonl` and for a page."""
        values = {name: [float(f"{value:.6g}") if column.dtype == np.float32 else value for value in column.tolist()]
                  for name, column in self._columns().items()}
        norms = {name: [float(f"{value:.6g}") for value in column]
                 for name, column in zip(self.layer_names, self.layer_norms.T.tolist(), strict=True)}
        return {**values, "samples": [sample._asdict() for sample in self.samples],
                "layer_steps": self.layer_steps.tolist(), "layer_norms": norms}

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {name: getattr(self, name) for name in COLUMNS}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the tensors that a file stores."""
        texts = [sample.text.encode("utf-8", "replace") for sample in self.samples]
        samples: dict[str, NDArray[Any]] = {
            "samples.steps": _steps(list(self.samples)), "samples.lengths": np.array([*map(len, texts)], np.uint32),
            "samples.text": np.frombuffer(b"".join(texts), np.uint8)}
        layers: dict[str, NDArray[Any]] = {
            "layers.names": np.frombuffer("\n".join(self.layer_names).encode(), np.uint8),
            "layers.steps": self.layer_steps, "layers.norms": self.layer_norms.ravel()} if self.layer_names else {}
        return {PREFIX + name: values for name, values in (self._columns() | samples | layers).items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]]) -> History:
        """Return the history that `tensors` described. Raises ModelFileError unless a run could have written it."""
        columns: dict[str, Any] = {name: tensors[PREFIX + name] for name in COLUMNS}
        steps, lengths, text = (tensors[f"{PREFIX}samples.{name}"] for name in ("steps", "lengths", "text"))
        ends = np.cumsum(lengths, dtype=np.int64).tolist()
        _require(len(steps) == len(lengths) and (ends[-1] if ends else 0) == len(text)
                 and all(lengths <= MAX_SAMPLE_BYTES), "its samples do not fit together")
        data = text.tobytes()
        try:
            texts = [data[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]
        except UnicodeDecodeError:
            raise ModelFileError("its history has a sample that is not UTF-8") from None
        history = cls(samples=tuple(map(Sample, steps.tolist(), texts)), **columns, **_layers(tensors))
        _check(history, steps)
        return history


def _layers(tensors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the fields about layers, empty for an older file. Raises ModelFileError."""
    if not set(LAYER_FORMS) <= set(tensors):
        return {}
    text, steps, norms = (tensors[name] for name in LAYER_FORMS)
    names = text.tobytes().decode("ascii", "replace").split("\n")
    _require(all(re.fullmatch("[a-z]+( [a-z]+)*( [0-9]+)?", name) for name in names) and len(set(names)) == len(names),
             "its history has impossible names of layers")
    _require(len(norms) == len(steps) * len(names) and len(steps) <= max_layer_rows(names),
             "its history has too few or too many gradient norms of layers")
    return {"layer_names": tuple(names), "layer_steps": steps, "layer_norms": norms.reshape(-1, len(names))}


COLUMNS = tuple(name for name in History.__dataclass_fields__ if name != "samples" and not name.startswith("layer"))
FORMS = {PREFIX + name: ("U32" if name.endswith("steps") else "F32", MAX_VALIDATIONS if "held_out" in name else
                         MAX_POINTS) for name in COLUMNS} \
    | {f"{PREFIX}samples.steps": ("U32", MAX_SAMPLES), f"{PREFIX}samples.lengths": ("U32", MAX_SAMPLES),
       f"{PREFIX}samples.text": ("U8", MAX_SAMPLES * MAX_SAMPLE_BYTES)}       # name: (dtype, greatest length)

LAYER_FORMS = {f"{PREFIX}layers.names": ("U8", MAX_LAYER_BYTES), f"{PREFIX}layers.steps": ("U32", MAX_POINTS),
               f"{PREFIX}layers.norms": ("F32", MAX_LAYER_BYTES // 4)}         # all three, or none in older files


def forms_among(names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return the forms of the history's tensors in a file that contains tensors of these names."""
    return FORMS | LAYER_FORMS if set(LAYER_FORMS) & set(names) else FORMS


def check_forms(forms: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    """Raise ModelFileError unless these are dtypes and shapes of a history's tensors, which need not be read yet."""
    for name, (dtype, longest) in forms_among(forms).items():
        its, shape = forms.get(name, ("", ()))
        _require(its == dtype and len(shape) == 1, f"tensor {name} is missing or has the wrong type or shape")
        _require(shape[0] <= longest, f"it has more than {longest} values of {name}")


def _check(history: History, sample_steps: Steps) -> None:
    """Raise ModelFileError unless columns are of one length, steps increase and no figure is negative."""
    points, validations = len(history.steps), len(history.held_out_steps)
    for name in COLUMNS:
        column, whole = getattr(history, name), validations if name.startswith("held_out") else points
        optional = name in ("seconds", "held_out_error_rate")
        _require(len(column) == whole or optional and not len(column),
                 f"its history has {len(column)} values of {name}")
        _require(bool((np.isfinite(column) & (column >= 0)).all()), f"its history has impossible values of {name}")
    _require(bool((np.isfinite(history.layer_norms) & (history.layer_norms >= 0)).all()),
             "its history has impossible gradient norms of layers")
    for steps in (history.steps, history.held_out_steps, sample_steps, history.layer_steps):
        _require(bool((steps[:1] > 0).all() and (steps[1:] > steps[:-1]).all()),
                 "the steps of its history do not increase")
    _require(bool((history.held_out_error_rate <= 1).all() and (history.seconds[1:] >= history.seconds[:-1]).all()),
             "its history has impossible figures")


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ModelFileError(otherwise)
