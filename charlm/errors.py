"""The errors that a user may see, as one tree with an exit code each.

    CharlmError                 1   internal error, or out of memory
      UsageError                2   invalid flags or arguments
        OptionError             2   a value that an option does not accept
      ModelFileError            3   invalid model file or checkpoint
      ArchiveError              3   damaged compressed file, or one of another model
      CorpusError               4   unusable text
      DivergedError             5   no finite loss in training
      StorageError              6   output not written
      InUseError                7   output in use by another process

A message is one line: what is wrong, why, and the next command to type. Exit codes above 127 belong to signals and
closed pipes, which are not errors (see `charlm.cli.exit_codes`).
"""


class CharlmError(Exception):
    """The base of all errors that are shown to the user without a traceback."""
    exit_code = 1


class UsageError(CharlmError):
    """Raised for invalid flags or arguments; the message names the flag."""
    exit_code = 2


class OptionError(UsageError):
    """Raised for a value that an option does not accept: it names the keyword, or on the command line the flag."""

    def __init__(self, keyword: str, flag: str, problem: str):
        super().__init__(f"{keyword} {problem}")
        self.for_command_line = f"{flag} {problem}"


class ModelFileError(CharlmError):
    """Raised for a file that is not a valid model or checkpoint of a supported format."""
    exit_code = 3


class ArchiveError(CharlmError):
    """Raised for a file or line that `compress` did not write, that is damaged, or that needs another model."""
    exit_code = 3


class CorpusError(CharlmError):
    """Raised for a text that is missing, empty, too short or not valid UTF-8."""
    exit_code = 4


class DivergedError(CharlmError):
    """Raised when three updates in a row, or all validations, give no finite loss."""
    exit_code = 5


class StorageError(CharlmError):
    """Raised when an output cannot be written."""
    exit_code = 6


class InUseError(CharlmError):
    """Raised when another process is writing the output."""
    exit_code = 7
