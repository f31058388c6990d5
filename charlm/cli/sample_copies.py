"""Copies of the training text in samples: reported on stderr with --overlap, refused with --max-overlap."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from charlm.cli.exit_codes import message
from charlm.cli.sampling import SampleRequest
from charlm.errors import CorpusError, UsageError
from charlm.text.invalid_bytes import replace_invalid

if TYPE_CHECKING:
    from charlm.model import LanguageModel
    from charlm.text.copies import CopyFinder

SHOWN = 80                              # characters of a copy in a report


def corpus_files(request: SampleRequest) -> tuple[str, ...]:
    """Return the files of --corpus. Raises CorpusError for an empty folder or a file that cannot be opened."""
    from charlm.text.reading import require_readable
    from charlm.text.sources import STDIN, expand
    if STDIN in request.corpus:
        raise UsageError("--corpus is read several times, so it cannot be -; name a file")
    files = expand(request.corpus).paths
    require_readable(files)
    return files


def corpus_lines(request: SampleRequest, *, labelled: bool) -> Iterator[str]:
    """Yield the lines of --corpus, without their labels."""
    from charlm.text.line_corpus import read_lines
    from charlm.text.reading import Text
    for source in corpus_files(request):
        yield from (line for _, line in read_lines(Text(source, request.errors, message), labelled=labelled))


class Copies:
    """The copies in the samples of one request."""

    def __init__(self, model: LanguageModel, request: SampleRequest):
        self._request = request
        if request.corpus and (request.overlap, request.max_overlap) != (None, None):
            _check_whole(model, request)
        self._reported = _finder(model, request, "--overlap", request.overlap)
        self._refused = _finder(model, request, "--max-overlap", request.max_overlap)
        self._samples = self._copied = 0

    def refusal(self, prompt: str, *, included: bool = False) -> Callable[[Sequence[str]], list[bool]] | None:
        """Return a test for texts after a prompt that contain a copy that is too long; None without --max-overlap.

        If `included`, the texts begin with the prompt.
        """
        finder = self._refused
        if finder is None:
            return None
        before = "" if included else prompt
        return lambda texts: [bool(copy) for copy in finder.longest([(before + text, len(prompt)) for text in texts])]

    def of(self, prompt: str, texts: Sequence[str]) -> list[str]:
        """Return the longest copy in each text after a prompt; empty if too short, or without --overlap."""
        if self._reported is None:
            return [""] * len(texts)
        return self._reported.longest([(prompt + text, len(prompt)) for text in texts])

    def fields(self, copy: str) -> dict[str, object]:
        """Return the fields about a copy for the record of its sample."""
        return {} if self._reported is None else {"overlap": len(copy), "copy": copy}

    def report(self, number: int, copy: str) -> None:
        """Count a sample and print its copy, unless records already contain it."""
        self._samples += 1
        self._copied += bool(copy)
        if copy and not self._request.jsonl:
            shown = json.dumps(replace_invalid(copy[:SHOWN]), ensure_ascii=False) + "…" * (len(copy) > SHOWN)
            message(f"sample {number}: {len(copy)} characters are a copy: {shown}")

    def close(self) -> None:
        """Print how many samples have a copy."""
        if self._reported is not None:
            message(f"samples with a copy of {self._reported.length} characters or more: "
                    f"{self._copied} of {self._samples}")
        self._samples = self._copied = 0


def _check_whole(model: LanguageModel, request: SampleRequest) -> None:
    """Warn of a corpus that is shorter than the text learned from: copies of the rest would pass as new.

    Raises CorpusError for an empty one.
    """
    from charlm.text.reading import read_text
    learned = model.stored.training.get("train_characters", 0)
    given = sum(map(len, read_text(corpus_files(request), request.errors)))
    if not given:
        raise CorpusError("--corpus is empty; there is nothing to compare with")
    if isinstance(learned, int) and given < learned:
        message(f"warning: --corpus has {given:,} characters, and the model learned from {learned:,}; copies of text "
                "that is not in --corpus are not found")


def _finder(model: LanguageModel, request: SampleRequest, flag: str, length: int | None) -> CopyFinder | None:
    """Return a finder of copies of at least this length, in the corpus or in the model's filter of its text."""
    if length is None:
        return None
    if request.corpus:
        from charlm.text.copies import CorpusCopies
        from charlm.text.reading import read_text
        files = corpus_files(request)
        return CorpusCopies(lambda: read_text(files, request.errors), length)
    from charlm.text.remembered import MIN_COPY, RememberedCopies
    if model.stored.remembered is None:
        raise UsageError(f"{flag} needs the training text: name it with --corpus, or train with --remember")
    if length < MIN_COPY:
        raise UsageError(f"{flag} must be at least {MIN_COPY} without the training text, not {length}; name the text "
                         "with --corpus for shorter copies")
    return RememberedCopies(model.stored.remembered, length)
