"""Command-line options: those that several verbs share, and those made from configuration fields."""

from __future__ import annotations

import difflib
import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field
from types import MappingProxyType
from typing import Any

import click

from charlm.config import CorpusConfig, SamplingConfig, options_of
from charlm.config import Option as ConfigOption
from charlm.text.record_format import record_format

GROUPS = {"task": "Task", "tokens": "Tokens", "network": "Network", "run": "Run", "optimizer": "Optimizer",
          "resuming": "Resuming", "machine": "Machine", "": "Other options"}
_TYPES = {"int": click.INT, "float": click.FLOAT, "str": click.STRING, "bool": click.BOOL}
_READ_ELSEWHERE = ("CHARLM_DEBUG",)     # variables that are not options


class Option(click.Option):
    """A click option with a section in `--help` and an environment variable for every long spelling."""

    def __init__(self, *args: Any, group: str = "", **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.group = group

    def variables(self, prefix: str) -> Iterator[tuple[str, bool]]:
        """Yield the environment variables of this option and whether each one negates it."""
        own = self.envvar or ()
        yield from ((name, False) for name in ([own] if isinstance(own, str) else own))
        for spellings, negates in ((self.opts, False), (self.secondary_opts, True)):
            for spelling in spellings:
                if spelling.startswith("--"):
                    yield f"{prefix}_{spelling[2:].replace('-', '_').upper()}", negates

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the value of the first variable that is set and not empty."""
        for name, negates in self.variables(ctx.auto_envvar_prefix or ""):
            if value := os.environ.get(name):
                return str(not click.BOOL.convert(value, self, ctx)) if negates else value
        return None

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return the value from the environment; for a repeatable option the whole variable is one value."""
        value = self.resolve_envvar_value(ctx)
        return (value,) if value is not None and self.multiple else super().value_from_envvar(ctx)


class GroupedCommand(click.Command):
    """A command whose `--help` lists its options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each group that has options."""
        params = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for group, title in GROUPS.items():
            records = [record for param in params if getattr(param, "group", "") == group
                       and (record := param.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


option = functools.partial(click.option, cls=Option)


def unread_variables(group: click.Group, ctx: click.Context) -> Iterator[str]:
    """Yield a warning for each CHARLM_ variable that no option of any command reads."""
    names = [name for name in os.environ if name.startswith("CHARLM_") and not name.startswith("CHARLM_TEST_")]
    if not names:
        return
    known = {*_READ_ELSEWHERE, *(name for verb in group.list_commands(ctx)
                                 if (command := group.get_command(ctx, verb)) is not None
                                 for param in command.params if isinstance(param, Option)
                                 for name, _ in param.variables(f"CHARLM_{verb.upper()}"))}
    for name in sorted(set(names) - known):
        near = difflib.get_close_matches(name, known, 1, 0.8)
        yield f"warning: no option reads {name}" + (f"; did you mean {near[0]}?" if near else "")


def field_option(field: Field[Any], its: ConfigOption, *, fixed: bool = True,
                 automatic: str = "") -> Callable[[Any], Any]:
    """Return a field's click option. Unless `fixed`, it defaults to None and its help says how a value is chosen."""
    kind = str(field.type).partition(" ")[0]
    automatic = automatic or ("" if fixed else its.automatic)
    spelling = f"{its.flag}/{its.negation}" if its.negation else its.flag
    help = its.help + (f"  [default: {automatic}]" if automatic else "")
    return option(spelling, *its.aliases, field.name, help=help, group=its.group, metavar=its.metavar,
                  type=click.Choice(its.choices) if its.choices else _TYPES[kind],
                  is_flag=kind == "bool", default=field.default if fixed and not automatic else None,
                  show_default=fixed and not automatic)


def config_options(config: type, keyword: str, *, fixed: bool = True,
                   automatic: Mapping[str, str] = MappingProxyType({})) -> Callable[[Any], Any]:
    """Return a decorator that adds an option for each field and hands the command `config(...)` as `keyword`.

    `automatic` gives the default of a field in words; the field then keeps its own default when it is not given.
    """
    pairs = [(field, its) for field, its in options_of(config) if its.is_settable]

    def decorate(command: Any) -> Any:
        @functools.wraps(command)
        def with_config(*args: Any, **kwargs: Any) -> Any:
            values = {field.name: kwargs.pop(field.name) for field, _ in pairs}
            given = {name: value for name, value in values.items() if value is not None}
            return command(*args, **kwargs, **{keyword: config(**given)})
        for field, its in reversed(pairs):
            with_config = field_option(field, its, fixed=fixed, automatic=automatic.get(field.name, ""))(with_config)
        return with_config
    return decorate


def sampling_options(command: Any = None, **automatic: str) -> Any:
    """Add the options of SamplingConfig and hand the command one as `sampling`."""
    decorate = config_options(SamplingConfig, "sampling", automatic=automatic)
    return decorate if command is None else decorate(command)


def is_given(name: str) -> bool:
    """Return whether the current command's option has a value from the command line or the environment."""
    source = click.get_current_context().get_parameter_source(name)
    return source in (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)


class Once(Option):
    """An option that may be given only once; click alone would silently use the last of several values."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Register an option of which the parser collects every value."""
        self.multiple = True
        super().add_to_parser(parser, ctx)
        self.multiple = False           # for everything but the parser there is one value

    def consume_value(self, ctx: click.Context, opts: Any) -> Any:
        """Return the value and its source. Raises UsageError if there are several."""
        value, source = super().consume_value(ctx, opts)
        if isinstance(value, list):
            if len(value) > 1:
                raise click.UsageError(f"{'/'.join(self.opts)} is given {len(value)} times; give it once", ctx)
            value = value[0]
        return value, source


model = option("-m", "--model", metavar="FILE", envvar="CHARLM_MODEL", cls=Once,
               help="Model to use. Default: $CHARLM_MODEL, else the newest suitable *.charlm in this directory.")


def model_command(name: str, examples: str) -> Callable[[Any], click.Command]:
    """Return the decorator of a command that takes [FILE] and, before its own options, the model to use."""
    file = click.argument("file", required=False, metavar="[FILE]")
    return lambda function: click.command(name, epilog=examples, cls=AdaptCommand)(file(model(function)))


_FILES = """
FILE can also be a folder, for all files below it that are not hidden, or a quoted glob such as
'logs/**/*.gz'. .gz, .bz2, .xz and .zst are decompressed; - is stdin."""
OTHERS_READ = " If one of several files cannot be read, it is reported, the others are read, and the exit code is 4."
FILES_IN_RECORDS = f' With several files, each record names its file, before the text or as "file".{OTHERS_READ}'
RECORDS = """
With --csv-column or --json-field the text is one field of each record, followed by a line break."""


def files_help(more: str) -> Callable[[Any], Any]:
    """Return a decorator that ends a command's help with the forms that FILE can take, followed by `more`."""
    def decorate(command: Any) -> Any:
        command.__doc__ = f"{inspect.cleandoc(command.__doc__)}\n{_FILES}{more}"
        return command
    return decorate


def filter_command(name: str, examples: str, more: str = FILES_IN_RECORDS) -> Callable[[Any], click.Command]:
    """Return the decorator of a command that takes [FILE]... and lists -m/--model before its own options."""
    files = click.argument("files", nargs=-1, metavar="[FILE]...")
    return lambda function: click.command(name, epilog=examples, cls=AdaptCommand)(
        files_help(more)(files(model(function))))


def record_options(command: Any) -> Any:
    """Add --csv-column and --json-field, which the command receives as `format`: a RecordFormat or None."""
    @functools.wraps(command)
    def with_format(*args: Any, csv_column: str | None, json_field: str | None, id: str | None = None,
                    **kwargs: Any) -> Any:
        return command(*args, **kwargs, format=record_format(csv_column, json_field, id))
    for field, its in reversed([*options_of(CorpusConfig)]):
        if field.name in ("csv_column", "json_field"):
            with_format = field_option(field, its)(with_format)
    return with_format


def identified_records(command: Any) -> Any:
    """Add `record_options` and --id."""
    return record_options(option("--id", metavar="NAME", help="With --csv-column or --json-field: also write this "
                                 "field, before the text or as \"id\".")(command))


jsonl = option("--jsonl", is_flag=True, help="One JSON object per line.")

errors = option("--errors", type=click.Choice(["strict", "replace", "ignore"]), default="strict", show_default=True,
                help="How to treat bytes that are not UTF-8.")

beam = option("--beam", type=click.IntRange(1, 1000), default=5, show_default=True,
              help="Hypotheses kept in the search for a target; 1 is greedy.")

seed = option("--seed", type=click.IntRange(0), help="Random seed. Default: random, printed to stderr.")

device = option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
                help="cuda: score on a GPU, with torch, and on one processor core.")

carry = option("--carry", is_flag=True,
               help="Carry the model state across lines instead of scoring each line independently; uses one core.")

binary_output = option("-o", "--output", metavar="FILE", help="Write this file, when all is done, instead of stdout.")

quiet = option("--quiet", is_flag=True, help="Show errors only.")


class AdaptCommand(click.Command):
    """A command with `--adapt`, whose value can be left out: `--adapt FILE` has none, `--adapt full` has one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words after the verb."""
        words, left = [], list(args)
        while left and left[0] != "--":
            word = left.pop(0)
            if word == "--adapt":
                word += "=full" if left[:1] == ["full"] and left.pop(0) else "=head"
            words.append(word)
        return super().parse_args(ctx, words + left)


class _Adaptation(click.ParamType):
    """The value of `--adapt`: `head` for the head and counts, `full` for all weights."""

    name = "adaptation"

    def __init__(self, *, full: bool):
        self._full = full

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return `head`, `full`, or an empty string for a variable that turns it off."""
        if value in ("head", "full"):
            if value == "full" and not self._full:
                self.fail("full is for eval and score; this command takes --adapt alone", param, ctx)
            return str(value)
        return "head" if click.BOOL.convert(value, param, ctx) else ""


def adapt(help: str, *, full: bool = False) -> Callable[[Any], Any]:
    """Return the decorator that adds `--adapt` to an `AdaptCommand`: `head`, `full` if that is allowed, or empty."""
    return option("--adapt", type=_Adaptation(full=full), default="", metavar="[full]" if full else "", help=help)


threads = option("--threads", type=click.IntRange(1, 1024), metavar="N", help="Processor threads to use.",
                 group="machine")

cores = option("--threads", type=click.IntRange(1, 1024), metavar="N", group="machine",
               help="Processor cores to use; what is written does not depend on it.  [default: all that are available]")


def limit_threads(count: int | None) -> None:
    """Set the threads of NumPy's BLAS; call it before NumPy is imported. One is fastest for small steps."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        if count or name not in os.environ:
            os.environ[name] = str(count or 1)


def set_up_cores(count: int | None, device: str = "cpu", *, carry: bool = False) -> int:
    """Return how many workers to use, and give NumPy's BLAS one thread; call it before NumPy is imported."""
    from charlm.inference.parallel import available_cores
    limit_threads(1)
    return 1 if carry or device != "cpu" else count or available_cores()
