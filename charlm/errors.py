"""What can go wrong, as one tree; each leaf is one exit code.

    CharlmError                 1   internal, or out of memory
      UsageError                2   flags or arguments that cannot work
      ModelFileError            3   a model file refused
      CorpusError               4   a text refused
      DivergedError             5   training produced no finite loss
      StorageError              6   something could not be written
      InUseError                7   another process is writing the output

A message says what, why and the next thing to type, on one line. Codes above 127 belong to signals
and closed pipes and are not errors (see `charlm.cli.exit_codes`).
"""


class CharlmError(Exception):
    """Base of all errors that a user is shown without a traceback."""

    exit_code = 1


class UsageError(CharlmError):
    """Flags or arguments that cannot work; the message names the flag."""

    exit_code = 2


class OptionError(UsageError):
    """A value that an option cannot take. In Python the message names the keyword, on the command line the flag."""

    def __init__(self, keyword: str, flag: str, problem: str):
        super().__init__(f"{keyword} {problem}")
        self.for_command_line = f"{flag} {problem}"


class ModelFileError(CharlmError):
    """A file that is not exactly a model this version can use."""

    exit_code = 3


class CorpusError(CharlmError):
    """A text that is empty, too short, missing or not valid UTF-8."""

    exit_code = 4


class DivergedError(CharlmError):
    """Three updates in a row, or all validations, without a finite loss."""

    exit_code = 5


class StorageError(CharlmError):
    """An output that could not be written."""

    exit_code = 6


class InUseError(CharlmError):
    """An output that another process is writing."""

    exit_code = 7
