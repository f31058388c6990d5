"""The `charlm` command: finds the verb and imports only that verb's file."""

from __future__ import annotations

import difflib
import importlib

import click

from charlm.cli.exit_codes import run_and_exit
from charlm.version import __version__

VERBS = {"train": "train", "sample": "sample", "score": "score", "filter": "filter",
         "classify": "classify", "translate": "translate", "fill": "fill", "eval": "eval",
         "tokenize": "tokenize", "detokenize": "detokenize", "info": "info"}

EXAMPLES = """\b
Examples:
  charlm train corpus.txt
  charlm sample --temp 0.8
  zcat big.txt.gz | charlm train - -o big.charlm --minutes 10
  charlm sample -p 'ROMEO:' -n 500 --top-p 0.9 --seed 7 | less
  charlm score suspicious.log | sort -rn | head
  charlm train names.txt --lines && charlm sample -N 20 --unique --novel
  charlm train surnames.tsv --labels && echo "O'Malley" | charlm classify
  charlm train lexicon.tsv && echo 'abszolút' | charlm translate
  charlm eval held-out.txt
"""


class Verbs(click.Group):
    """A group that imports a verb when it is asked for, so that help answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        return importlib.import_module(f"charlm.cli.{VERBS[name]}").command

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], VERBS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(VERBS)}"
            raise click.UsageError(f"no such command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"],
                                          "auto_envvar_prefix": "CHARLM"})
@click.version_option(__version__, prog_name="charlm", message="%(prog)s %(version)s")
def cli() -> None:
    """Character language models for the shell.

    Train a recurrent network on any text, then write new text in its manner, or say how surprising any
    line is, filter by it, classify, translate, fill gaps. Every flag has an environment twin:
    CHARLM_SAMPLE_TEMPERATURE is `sample --temp`.
    """


def main() -> None:
    """Entry point of the console script; ends the process with the right code."""
    run_and_exit(lambda: cli.main(prog_name="charlm", standalone_mode=False))
