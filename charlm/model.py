"""charlm from Python: a model as an object, with the verbs as methods.

    import charlm
    model = charlm.load("names.charlm")
    model.score("emma").bits_per_character

Nothing here needs torch. Not here: the command line (cli/), which adds files, pipes and records.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from functools import cached_property

from charlm.config import SamplingConfig
from charlm.errors import CharlmError, UsageError
from charlm.inference.classification import Classifier
from charlm.inference.generation import generate
from charlm.inference.infilling import Infiller
from charlm.inference.line_sampling import FilteredLineSampler, LineSamplingConfig, max_line_length
from charlm.inference.line_scoring import TextScore, bits_by_span, make_scorer
from charlm.inference.matmul import matmul, matmul_in_blocks
from charlm.inference.network import Network
from charlm.inference.translation import LengthLimit, Translation, Translator
from charlm.modelfile import Model
from charlm.modelfile import load as load_file
from charlm.text.reading import strip_line_end

LENGTH = 500                            # tokens of running text, unless told
MAX_BEAM = 1000


class LanguageModel:
    """A model at work. A method that its task does not have raises UsageError.

    Sampling settings (`temperature`, `top_k`, `top_p`, `min_p`, `repeat_penalty`) are those of
    `charlm.config.SamplingConfig`. A seed of None draws one.
    """

    def __init__(self, model: Model):
        self._model = model

    @property
    def task(self) -> str:
        """stream, lines, pairs or fill."""
        return self._model.task

    @property
    def labels(self) -> tuple[str, ...]:
        """Of a model of labelled lines; else none."""
        return self._model.labels.names if self._model.labels else ()

    def sample(self, prompt: str = "", *, length: int | None = None, seed: int | None = None,
               **sampling) -> str:
        """New text after a prompt, which is not repeated: 500 tokens by default, or up to a line's end."""
        return "".join(self.stream(prompt, length=length, seed=seed, **sampling))

    def stream(self, prompt: str = "", *, length: int | None = None, seed: int | None = None,
               **sampling) -> Iterator[str]:
        """The same in pieces, as they are made; a line comes whole."""
        self._require("stream", "lines")
        if self.task == "lines":
            line, = self.lines(1, prefix=prompt, length=length, seed=seed, **sampling)
            return iter([line[len(prompt):]])
        pieces = generate(self._steady, self._model.tokenizer, self._model.tokenizer.encode(prompt),
                          SamplingConfig(**sampling), length=_length(length, LENGTH), seed=_seed(seed))
        return (text for _, text in pieces)

    def lines(self, count: int, *, prefix: str = "", label: str | None = None, unique: bool = False,
              novel: bool = False, match: str | None = None, length: int | None = None,
              seed: int | None = None, **sampling) -> list[str]:
        """Lines of a model of lines: none twice, none of the training text, only those that match.

        Raises CharlmError when too few of the lines that are drawn are wanted.
        """
        self._require("lines")
        model = self._model
        config = LineSamplingConfig(SamplingConfig(**sampling), _seed(seed),
                                    _length(length, max_line_length(model.training)), prefix, label)
        network = Network(model.config, model.weights, matmul=matmul_in_blocks)
        sampler = FilteredLineSampler.of(network, model.tokenizer, model.labels, model.line_hashes, config,
                                         unique=unique, novel=novel, match=match)
        found = [line.text for lines in sampler.lines(count) for line in lines]
        if len(found) < count:
            raise CharlmError(f"found {len(found)} of {count} lines among {sampler.tried} drawn")
        return found

    def score(self, text: str) -> TextScore:
        """How surprising a text is: `bits`, `characters`, `bits_per_character`."""
        return self.scores([text])[0]

    def scores(self, texts: Sequence[str]) -> list[TextScore]:
        """The same of many texts, each by itself; much faster than one after the other."""
        self._require("stream", "lines")
        scorer = make_scorer(self._network, self._model.tokenizer, self._model.labels, lines=self.task == "lines")
        return scorer.score(texts if scorer.includes_line_end else [strip_line_end(text) for text in texts])

    def surprisals(self, text: str) -> list[tuple[str, float]]:
        """The bits of every character, or of the parts that tokens stand for; the last of a line is its end."""
        return list(bits_by_span(self.score(text), self._model.tokenizer))

    def classify(self, text: str, *, uniform_prior: bool = False) -> dict[str, float]:
        """The probability of every label, the likeliest first."""
        if not self._model.labels:
            raise UsageError("this model has no labels; train one with --labels")
        classifier = Classifier(self._network, self._model.tokenizer, self._model.labels,
                                uniform_prior=uniform_prior)
        posteriors = classifier.posteriors([strip_line_end(text)])[0].tolist()
        return dict(sorted(zip(self.labels, posteriors), key=lambda pair: -pair[1]))

    def translate(self, source: str, *, beam: int = 5) -> str:
        """The likeliest target of a source."""
        return self.translations(source, beam=beam)[0].text

    def translations(self, source: str, *, beam: int = 5, length_penalty: float = 1.0) -> list[Translation]:
        """At most `beam` targets of a source, best first."""
        self._require("pairs")
        if not source:
            raise UsageError("an empty source has no target")
        if not 1 <= beam <= MAX_BEAM:
            raise UsageError(f"a beam is from 1 to {MAX_BEAM} hypotheses wide, not {beam}")
        translator = Translator(self._network, self._model.tokenizer, self._model.source_tokenizer,
                                LengthLimit.from_metadata(self._model.training))
        return translator.translate([source], beam=beam, length_penalty=length_penalty)[0]

    def fill(self, text: str, *, gap: str = "___", seed: int | None = None, **sampling) -> str:
        """A line with its gaps filled, greedily unless a temperature is given."""
        self._require("fill")
        if not gap:
            raise UsageError("a gap needs a mark of at least one character")
        config = SamplingConfig(**{"temperature": 0.0} | sampling)
        before, *parts = text.split(gap)
        fills = Infiller(self._steady, self._model.tokenizer).fill(
            [[before, *parts]], config, seed=_seed(seed), line_numbers=[1])[0][0]    # line 1
        return before + "".join(fill + part for fill, part in zip(fills, parts))

    @cached_property
    def _network(self) -> Network:
        """Fast for many rows."""
        return Network(self._model.config, self._model.weights, matmul=matmul)

    @cached_property
    def _steady(self) -> Network:
        """The same bits for a row in any batch, as samples need."""
        return Network(self._model.config, self._model.weights)

    def _require(self, *tasks: str) -> None:
        if self.task not in tasks:
            raise UsageError(f"a {self.task} model does not do that; it takes one of {', '.join(tasks)}")


def _seed(given: int | None) -> int:
    if given is not None and given < 0:
        raise UsageError(f"a seed is 0 or more, not {given}")
    return secrets.randbelow(1 << 32) if given is None else given


def _length(given: int | None, usual: int) -> int:
    if given is not None and given < 0:
        raise UsageError(f"a length is 0 or more, not {given}")
    return usual if given is None else given


def load(path: str) -> LanguageModel:
    """A model from its file. Raises ModelFileError for anything that is not exactly one."""
    return LanguageModel(load_file(path))
