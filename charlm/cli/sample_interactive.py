"""`charlm sample --interactive`: reads prompts one after the other and continues each."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from charlm.cli.exit_codes import message
from charlm.cli.output import Output
from charlm.cli.sampling import SampleRequest, SampleWriter, choose_seed
from charlm.errors import CharlmError
from charlm.text.invalid_bytes import replace_invalid

PROMPT = "> "
HINT = "type a beginning; an empty line continues the last text, Ctrl-C stops it, Ctrl-D leaves"


def converse(writer: SampleWriter, request: SampleRequest, output: Output) -> None:
    """Continue every line of stdin; an empty line continues the previous text.

    Line i, counted from 0, uses the seed plus i. On a terminal, Ctrl-C stops a text and errors do not end the command.
    """
    on_terminal = sys.stdin is not None and sys.stdin.isatty()
    seed = choose_seed(request.seed, used=writer.is_random)
    if on_terminal:
        message(HINT)
    for turn, line in enumerate(_typed(output) if on_terminal else _piped(request.errors)):
        try:
            writer.write(line or writer.text, seed + turn, echo=bool(line))
        except KeyboardInterrupt:
            if not on_terminal:
                raise
        except CharlmError as error:
            if not on_terminal:
                raise
            message(f"error: {getattr(error, 'for_command_line', error)}")
        if on_terminal or request.separator is None:
            output.end_line()


def _piped(errors: str) -> Iterator[str]:
    from charlm.text.reading import read_text, split_lines, strip_line_end
    from charlm.text.sources import STDIN
    return map(strip_line_end, split_lines(read_text([STDIN], errors, message)))


def _typed(output: Output) -> Iterator[str]:
    """Yield lines from the terminal, with a history where readline exists; Ctrl-C clears a line, Ctrl-D ends."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # input() then uses it
    while True:
        try:
            yield replace_invalid(_ask(output))
        except KeyboardInterrupt:
            sys.stderr.write("\n")
        except EOFError:
            sys.stderr.write("\n")
            return


def _ask(output: Output) -> str:
    if output.on_terminal:
        return input(PROMPT)
    sys.stderr.write(PROMPT)            # stdout gets nothing but the texts
    sys.stderr.flush()
    if not (line := sys.stdin.readline()):
        raise EOFError
    return line.removesuffix("\n")
