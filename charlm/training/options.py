"""The user's options for the network and the run, under the names of the config; None if the corpus decides."""

from __future__ import annotations

import dataclasses
from typing import Any

from charlm.config import ModelConfig, TrainingConfig, check_options, default_text, option, options_of
from charlm.errors import OptionError, UsageError

_Automatic: Any = dataclasses.make_dataclass("_Automatic", [
    (field.name, f"{field.type} | None", dataclasses.field(default=None, metadata={
        "option": dataclasses.replace(its, automatic=its.automatic or default_text(field))}))
    for config in (ModelConfig, TrainingConfig) for field, its in options_of(config)
    if its.is_settable and its.help], frozen=True, repr=False, eq=False)


@dataclasses.dataclass(frozen=True)
class TrainingOptions(_Automatic):
    """The options of a run. Raises OptionError for a value that its option does not take."""

    epochs: float | None = option(None, "--epochs", "Train for this many passes over the corpus.", group="run",
                                  high=1e9)
    minutes: float | None = option(None, "--minutes", "Train for this long, planned from measured speed; with "
                                   "--resume, for this long from now on.", group="run", high=1e9)

    def __post_init__(self) -> None:
        check_options(self)
        lengths = [name for name in ("steps", "epochs", "minutes") if getattr(self, name) is not None]
        if len(lengths) > 1:
            raise UsageError(f"--{lengths[0]} and --{lengths[1]} both set the length of the run; give one")
        for name in ("epochs", "minutes"):
            if getattr(self, name) == 0:
                raise OptionError(name, f"--{name}", "must be greater than 0")

    @property
    def given(self) -> dict[str, Any]:
        """The options that are not automatic, by name."""
        return {field.name: value for field in dataclasses.fields(self)
                if (value := getattr(self, field.name)) is not None}
