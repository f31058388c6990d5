"""The preparation of a run, for the command and for `charlm.train`: its starting point and its corpus.

No torch: an unusable corpus is refused before torch is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from charlm.checkpoint import Checkpoint
from charlm.config import CorpusConfig
from charlm.errors import CorpusError
from charlm.modelfile import Model
from charlm.registry import CORPORA, implementation
from charlm.tasks import DEFAULT, DEFAULT_FOR_TSV
from charlm.text.corpora import Corpus, CorpusRequest
from charlm.text.reading import Text, Watch, open_text, open_texts
from charlm.text.record_format import RecordFormat, record_format
from charlm.text.record_hints import record_hint
from charlm.text.temporary import IN_TMPDIR, TemporaryFiles
from charlm.text.tsv import looks_like_pairs
from charlm.training.starting_point import StartingPoint


def choose_start(checkpoint: Checkpoint | None, init_from: str | None, task: str | None,
                 model: Model | None = None) -> StartingPoint:
    """Return the starting point of a run: a checkpoint, a model (loaded unless it is given) or from scratch.

    Raises UsageError if the task contradicts it, and ModelFileError.
    """
    if checkpoint is not None:
        start = StartingPoint.from_checkpoint(checkpoint)
    elif init_from is not None:
        start = StartingPoint.from_model(init_from, model)
    else:
        start = StartingPoint.from_scratch()
    start.check_task(task)
    return start


def open_corpus(names: Sequence[str], reading: CorpusConfig, report: Callable[[str], None],
                watch: Watch | None = None) -> list[Text]:
    """Return the texts of files, folders and globs. Raises CorpusError if a name stands for no file.

    `watch` receives the number of bytes that have been read.
    """
    return open_texts(names, reading.errors or "strict", report, _format(reading), watch)


def _format(reading: CorpusConfig) -> RecordFormat | None:
    return record_format(reading.csv_column, reading.json_field)


def read_corpus(texts: Sequence[Text], held_out: Text | None, task: str | None, start: StartingPoint,
                reading: CorpusConfig, report: Callable[[str], None],
                files: TemporaryFiles = IN_TMPDIR) -> tuple[Corpus, str]:
    """Return the corpus and its task, which is recognized from the texts if it is not given.

    `held_out` replaces the held-out part that `reading` names. Temporary data is written to `files`. Raises CorpusError
    and UsageError.
    """
    recognized = start.task is None and task is None and looks_like_pairs(texts)
    if _format(reading) is None and not recognized and (hint := record_hint(texts[0])):
        report(hint)
    task = start.task or task or (DEFAULT_FOR_TSV if recognized else DEFAULT)
    named = reading.held_out
    part = open_text(named, reading.errors or "strict", report, _format(reading)) if isinstance(named, str) else named
    corpus: Corpus = implementation(CORPORA, task)(texts, CorpusRequest(
        reading, held_out or part, start.tokenizer, start.source_tokenizer, start.labels,
        f"; --{DEFAULT} reads it as running text" if recognized else "", files))
    if recognized:
        report("these are pairs of source<TAB>target; --labels would read them as label<TAB>text, --text as running "
               "text")
    for remark in corpus.remarks:
        report(f"warning: {remark}")
    if corpus.remembered:
        report(f"remembering the text: {corpus.remembered.describe()}")
    if repeated := getattr(corpus, "repeated", 0):
        report(f"pairs that repeat the source of an earlier pair: {repeated}; the model learns every target")
    return corpus, task


def require_same_corpus(start: StartingPoint, corpus: Corpus, *, new_corpus: bool) -> None:
    """Raise CorpusError if a resumed run began with another corpus, unless a new one is accepted."""
    if start.run is not None and start.run.corpus["corpus_digest"] != corpus.digest and not new_corpus:
        raise CorpusError("the corpus has changed since the run began; accept that with --new-corpus, or start "
                          "from scratch with --force")
