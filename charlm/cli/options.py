"""Flags that several verbs share, one decorator each."""

from __future__ import annotations

import click


class _Once(click.Option):
    """An option that may be given only once; click alone would silently use the last of several values."""

    def add_to_parser(self, parser, ctx: click.Context) -> None:
        """Register an option of which the parser collects every value."""
        self.multiple = True
        super().add_to_parser(parser, ctx)
        self.multiple = False           # for everything but the parser there is one value

    def consume_value(self, ctx: click.Context, opts):
        """Return the value and its source. Raises UsageError if there are several."""
        value, source = super().consume_value(ctx, opts)
        if isinstance(value, list):
            if len(value) > 1:
                raise click.UsageError(f"{'/'.join(self.opts)} is given {len(value)} times; give it once", ctx)
            value = value[0]
        return value, source


model = click.option(
    "-m", "--model", metavar="FILE", envvar="CHARLM_MODEL", cls=_Once,
    help="Model to use. Default: $CHARLM_MODEL, else the newest *.charlm here.")

jsonl = click.option("--jsonl", is_flag=True, help="One JSON object a line.")

errors = click.option(
    "--errors", type=click.Choice(["strict", "replace", "ignore"]), default="strict",
    show_default=True, help="What to do with bytes that are not UTF-8.")

beam = click.option("--beam", type=click.IntRange(1, 1000), default=5, show_default=True,
                    help="Hypotheses of a target searched side by side; 1 is greedy.")

top_k = click.option("--top-k", type=click.IntRange(0), default=0, show_default=True,
                     help="Draw from the K likeliest tokens; 0 is off.")

top_p = click.option("--top-p", type=float, default=1.0, show_default=True,
                     help="Draw from the smallest set with this probability; 1 is off.")

min_p = click.option("--min-p", type=float, default=0.0, show_default=True,
                     help="Drop tokens less likely than this share of the likeliest; 0 is off.")

seed = click.option("--seed", type=click.IntRange(0), help="Repeat what was drawn. Default: drawn, and told.")

device = click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
                      help="cuda scores on a GPU, through torch.")

carry = click.option("--carry", is_flag=True,
                     help="Read all lines as one text, as running text is, instead of each by itself.")

threads = click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N", help="Processor threads to use.")


def limit_threads(count: int | None) -> None:
    """Threads of NumPy's BLAS; must run before NumPy is imported. One is fastest for small steps."""
    import os
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        if count or name not in os.environ:
            os.environ[name] = str(count or 1)


def yield_when_waiting() -> None:
    """Let torch's threads sleep while they wait for each other; must run before torch is imported.

    Spinning instead is no faster on idle cores, and beside one other busy process it made an update
    of two threads two to seven times slower.
    """
    import os
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")      # NumPy only draws small samples here
