"""Reading the corpus of a task, with the same arguments for each: `implementation(CORPORA, task)(texts, request)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charlm.config import CorpusConfig
from charlm.contract import Tokenizer
from charlm.errors import UsageError
from charlm.text.labels import Labels
from charlm.text.line_corpus import LineCorpus, build_line_corpus
from charlm.text.pair_corpus import PairCorpus, build_pair_corpus
from charlm.text.reading import Text
from charlm.text.temporary import TemporaryFiles
from charlm.text.text_corpus import TextCorpus, build_text_corpus
from charlm.text.tokenizers.registry import Extendable

Corpus = TextCorpus | LineCorpus | PairCorpus
AnyTokenizer = Tokenizer | Extendable


@dataclass(frozen=True)
class CorpusRequest:
    """The settings for reading a run's texts: the user's options, and what a checkpoint or model already decides."""

    config: CorpusConfig
    held_out: float | Text | None = None
    tokenizer: AnyTokenizer | None = None           # in place of the one that the options name
    source_tokenizer: AnyTokenizer | None = None
    labels: Labels | None = None                    # known ones
    hint: str = ""                                  # advice for a line that is refused
    files: TemporaryFiles = TemporaryFiles()

    def refuse_keep_blank(self) -> None:
        """Raise UsageError if blank lines are to be kept."""
        if self.config.keep_blank:
            raise UsageError("--keep-blank is for --lines; running text keeps its blank lines, tables have none")

    def refuse_remember(self) -> None:
        """Raise UsageError if --remember is set."""
        if self.config.remember:
            raise UsageError("--remember is for models that sample: text, --lines and --labels")

    def text_tokenizer(self) -> str | AnyTokenizer:
        """Return the tokenizer of a text that is read and written. Raises UsageError for one of pairs."""
        if self.config.source_tokenizer is not None:
            raise UsageError("--source-tokenizer is for pairs; a text has one tokenizer, --tokenizer")
        if self.config.tokenizer == "word" and self.tokenizer is None:
            raise UsageError("--tokenizer word is for the targets of pairs; a text may hold any word")
        return self.tokenizer or self.config.tokenizer or "char"


def read_text_corpus(texts: Sequence[Text], request: CorpusRequest) -> TextCorpus:
    """Read running text."""
    request.refuse_keep_blank()
    return build_text_corpus(texts, tokenizer=request.text_tokenizer(), validation=request.held_out,
                             vocabulary_size=request.config.vocabulary_size, remember=bool(request.config.remember),
                             files=request.files)


def read_gap_corpus(texts: Sequence[Text], request: CorpusRequest) -> TextCorpus:
    """Read running text for a model that fills gaps."""
    request.refuse_remember()
    return read_text_corpus(texts, request)


def read_line_corpus(texts: Sequence[Text], request: CorpusRequest) -> LineCorpus:
    """Read independent lines."""
    return build_line_corpus(texts, labelled=False, tokenizer=request.text_tokenizer(), validation=request.held_out,
                             vocabulary_size=request.config.vocabulary_size,
                             keep_blank=bool(request.config.keep_blank), remember=bool(request.config.remember),
                             files=request.files)


def read_labelled_corpus(texts: Sequence[Text], request: CorpusRequest) -> LineCorpus:
    """Read lines of label<TAB>text."""
    request.refuse_keep_blank()
    return build_line_corpus(texts, labelled=True, tokenizer=request.text_tokenizer(), validation=request.held_out,
                             vocabulary_size=request.config.vocabulary_size, labels=request.labels,
                             remember=bool(request.config.remember), files=request.files)


def read_pair_corpus(texts: Sequence[Text], request: CorpusRequest) -> PairCorpus:
    """Read lines of source<TAB>target."""
    request.refuse_keep_blank()
    request.refuse_remember()
    config = request.config
    return build_pair_corpus(texts, tokenizer=request.tokenizer or config.tokenizer,
                             source_tokenizer=request.source_tokenizer or config.source_tokenizer or "nfd",
                             vocabulary_size=config.vocabulary_size, validation=request.held_out,
                             otherwise=request.hint, files=request.files)
