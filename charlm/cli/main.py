"""The `charlm` command: finds the verb and imports only that verb's file."""

from __future__ import annotations

import difflib
import importlib
import os

import click

from charlm.cli.exit_codes import message, run_and_exit
from charlm.version import __version__

VERBS = {                               # each verb, in the order of help, with its one line there
    "train": "Train a model on a text.",
    "sample": "Generate text.",
    "score": "Measure how surprising each line is.",
    "filter": "Keep the lines whose score is within bounds.",
    "classify": "Print the most probable label of each line.",
    "translate": "Write the target of each source.",
    "fill": "Fill the gaps in each line.",
    "eval": "Measure how well a model predicts held-out data.",
    "compress": "Make any file smaller, exactly.",
    "decompress": "Restore a compressed file.",
    "tokenize": "Write the token ids of each line.",
    "detokenize": "Write the text of lines of token ids.",
    "view": "Show a text as a model sees it.",
    "next": "Print the likeliest next characters.",
    "info": "Describe a model, its training and its quality.",
}

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
  charlm view verse.txt
"""


class Verbs(click.Group):
    """A group that imports a verb's file only when that verb is used, so that help is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which help lists them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a verb; return None if it does not exist."""
        return importlib.import_module(f"charlm.cli.{name}").command if name in VERBS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words after `charlm`; `help VERB` is `VERB --help`, and `help` alone is `--help`."""
        if args[:1] == ["help"]:
            args = [*(verb for verb in args[1:2] if verb != "help"), "--help"]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context,
                        args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb. Raises UsageError with the nearest name if it does not exist."""
        if args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], VERBS, 1)
            hint = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(VERBS)}"
            raise click.UsageError(f"no such command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; an error found while its options are parsed gets the verb's context, for its help."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            verb = ctx.invoked_subcommand
            if error.ctx is None and verb and (command := self.get_command(ctx, verb)):
                error.ctx = click.Context(command, ctx, verb)
            if isinstance(error, click.NoSuchOption) and (verbs := self._verbs_with(ctx, error.option_name)):
                raise click.UsageError(f"No such option '{error.option_name}' of {verb}; {', '.join(verbs)} "
                                       f"{'has' if len(verbs) == 1 else 'have'} one", error.ctx) from None
            raise

    def _verbs_with(self, ctx: click.Context, flag: str) -> list[str]:
        """Return the verbs that have an option of this spelling."""
        return [verb for verb in VERBS if (command := self.get_command(ctx, verb))
                and any(flag in (*param.opts, *param.secondary_opts) for param in command.params)]


@click.group(cls=Verbs, epilog=EXAMPLES,
             context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CHARLM"})
@click.version_option(__version__, prog_name="charlm", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Character language models for the shell.

    Train a recurrent network on any text; then generate similar text, measure how surprising each line is,
    filter lines by that, classify or translate lines, or fill gaps in them. Every option can also be set by
    an environment variable: CHARLM_SAMPLE_TEMP for `sample --temp`.
    """
    # Of torchrun's processes only the first warns.
    if any(name.startswith("CHARLM_") for name in os.environ) and os.environ.get("RANK", "0") == "0":
        from charlm.cli.options import unread_variables
        for warning in unread_variables(cli, context):
            message(warning)


def main() -> None:
    """Run the command and end the process with its exit code: the entry point of the console script."""
    run_and_exit(lambda: cli.main(prog_name="charlm", standalone_mode=False))
