"""LanguageModel: a model ready for use, and the only place where network, tokenizer and task are joined.

    import charlm
    model = charlm.load("names.charlm")
    model.score("emma").bits_per_character

The command line uses the same object. Nothing here needs torch on a CPU.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from charlm.config import SamplingConfig, check_keywords
from charlm.contract import FloatArray, IntArray, Tokenizer
from charlm.contract import Network as AnyNetwork
from charlm.errors import CharlmError, OptionError, UsageError
from charlm.inference.generation import Key, generate, generate_measured
from charlm.inference.line_sampling import FilteredLineSampler, LineSamplingConfig, Refusal, max_line_length
from charlm.inference.matmul import matmul, matmul_in_blocks
from charlm.inference.network import Network, WatchedNetwork
from charlm.modelfile import Model
from charlm.modelfile import load as load_file
from charlm.modelfile import save as save_file
from charlm.tasks import TASKS, Task
from charlm.text.invalid_bytes import replace_invalid
from charlm.text.special_tokens import with_bos_eos
from charlm.text.tokenizers.base import NEWLINE, decode
from charlm.text.tokenizers.char import CharTokenizer
from charlm.text.tsv import TAB

if TYPE_CHECKING:                       # imported where they are used, so that sampling starts sooner
    from charlm.adaptation.adapter import Adapter
    from charlm.adaptation.scoring import Reader
    from charlm.inference.alignment import Alignment
    from charlm.inference.classification import Classifier
    from charlm.inference.hidden_states import HiddenStates
    from charlm.inference.infilling import Infiller
    from charlm.inference.line_scoring import Scorer, TextScore
    from charlm.inference.pair_scoring import PairReader, TargetClassifier
    from charlm.inference.trace import Tracer
    from charlm.inference.translation import Translation, Translator
    from charlm.reports.notebook import ShownTrace

LENGTH = 500                            # tokens of running text by default
MAX_BEAM = 1000


class LanguageModel:
    """A model ready for use. A method that its task does not support raises UsageError.

    Sampling options (`temperature`, `top_k`, …) are those of `charlm.config.SamplingConfig`. A seed of None is random.
    """

    def __init__(self, stored: Model, *, device: str = "cpu"):
        """Wrap a model that was read from a file. On `cuda` scores are computed on a GPU, with torch."""
        self.stored, self._device = stored, device

    def __repr__(self) -> str:
        """Return task, network, vocabulary and quality in one line."""
        from charlm.summary import one_line
        return f"<LanguageModel {one_line(self.stored)}>"

    @property
    def info(self) -> dict[str, Any]:
        """The record that `charlm info --jsonl` prints, without the name of the file, as a dict of plain values."""
        from charlm.summary import summary
        return summary(self.stored)

    def save(self, path: str | os.PathLike[str], *, replace: bool = False) -> None:
        """Write the model to a file, byte for byte as it was loaded if the same version of charlm had written it.

        A file that is not a model is never replaced; a model is replaced only with `replace`. Raises UsageError, or
        StorageError if the file cannot be written, which leaves an existing file untouched.
        """
        from charlm.checkpoint import Checkpoints
        from charlm.training.keywords import in_words_of_python
        from charlm.training.output import check_output, reserved
        target = os.fspath(path)
        checkpoints = Checkpoints(target)
        with in_words_of_python():
            check_output(target, [], checkpoints, replace=replace, resume_command="charlm.train with --resume")
            with reserved(target, checkpoints):
                save_file(target, self.stored)

    @property
    def task(self) -> str:
        """The task: text, lines, labels, pairs or fill."""
        return self.stored.task

    @property
    def task_row(self) -> Task:
        """The facts about its task."""
        return TASKS[self.stored.task]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of a labels model, in code point order; otherwise empty."""
        return self.stored.labels.names if self.stored.labels else ()

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the text that it writes."""
        return self.stored.tokenizer

    @cached_property
    def network(self) -> AnyNetwork:
        """The network that is fastest for many rows."""
        if self._device == "cuda":
            from charlm.nn.numpy_adapter import NumpyAdapter
            from charlm.training.environment import choose_device
            choose_device(self._device)
            return cast(AnyNetwork, NumpyAdapter(self.stored.config, self.stored.weights, self._device))
        return Network(self.stored.config, self.stored.weights, matmul=matmul)

    @cached_property
    def reproducible_network(self) -> Network:
        """The network that gives a row the same bits in any batch, as samples need."""
        return Network(self.stored.config, self.stored.weights)

    def watch_reading(self, watch: Callable[[int], None]) -> None:
        """Call `watch` with the number of tokens whenever several are read at once, as in a prompt."""
        self.reproducible_network = WatchedNetwork(self.reproducible_network, watch)

    def adapter(self) -> Adapter:
        """Return an adapter of the head that has learned nothing yet, for the network's hidden states on a CPU."""
        from charlm.adaptation.adapter import Adapter
        from charlm.adaptation.head import FINE_SCALE
        if self._device != "cpu":
            raise UsageError("--adapt runs on a CPU; leave --device out")
        return Adapter(*self.reproducible_network.head, self.stored.adaptation, state_scale=FINE_SCALE)

    def adaptive_reader(self, adapt: bool | str = True) -> Reader:
        """Return a reader that learns from what it reads: head and counts or, for "full", all weights, with torch."""
        if adapt not in (True, "head", "full"):
            raise OptionError("adapt", "--adapt", f'must be True, "head" or "full", not {adapt!r}')
        adapter = self.adapter()
        if adapt == "full":
            from charlm.training.dynamic_evaluation import DynamicReader
            return DynamicReader(self.stored, self.reproducible_network)
        from charlm.adaptation.scoring import AdaptiveReader
        return AdaptiveReader(self.reproducible_network, self.tokenizer, adapter)

    def scorer(self, *, carry: bool = False, adapt: bool | str = False) -> Scorer:
        """Return a scorer of lines, which reads them as one text with `carry` and learns from them with `adapt`.

        `adapt` is that of `adaptive_reader`. Raises UsageError.
        """
        from charlm.inference.line_scoring import make_scorer
        self._require("score")
        if carry and self.task_row.ends_with_eos:
            raise OptionError("carry", "--carry", "is for models of running text; lines of this model are independent")
        if self.task_row.reads_source:
            if adapt:
                raise OptionError("adapt", "--adapt", "is for models of running text and of lines, not of pairs")
            from charlm.inference.pair_scoring import PairScorer
            return PairScorer(self._pair_reader())
        if adapt:
            from charlm.adaptation.scoring import make_adaptive_scorer
            return make_adaptive_scorer(self.adaptive_reader(adapt), self.tokenizer, self.stored.labels,
                                        lines=self.task_row.by_line, carry=carry)
        return make_scorer(self.network, self.tokenizer, self.stored.labels, lines=self.task_row.by_line, carry=carry)

    def tracer(self, *, carry: bool = False, top: int = 0, units: Sequence[int] = (), workers: int = 1) -> Tracer:
        """Return a scorer that also tells entropy, rank, the `top` likeliest tokens and activations of units.

        Unit i of layer l, both from 0, has number l * hidden_size + i. Raises UsageError as `scorer` does.
        """
        from charlm.inference.trace import PairTracer, Tracer
        self.scorer(carry=carry)
        if self.task_row.reads_source:
            return PairTracer(self.network, self.tokenizer, self.stored.source_tokenizer, top=top, units=units)
        return Tracer(self.network, self.tokenizer, self.stored.labels, lines=self.task_row.by_line, carry=carry,
                      top=top, units=units, workers=workers)

    def next(self, prompt: str = "", *, top: int = 10, label: str | None = None) -> list[tuple[str, float]]:
        """Return the likeliest next tokens after a prompt with their probabilities; the end of a line is a newline."""
        self._require("next")
        _check_text(prompt, "next", "prompt")
        if label is not None:
            if not self.stored.labels:
                raise OptionError("label", "--label", f"{label!r}: this model has no labels; "
                                                      "`charlm train FILE --labels` learns them")
            prompt = f"{label}{TAB}{prompt}"
        if self.task_row.by_line and NEWLINE in prompt:
            raise OptionError("prompt", "--prompt", "contains a line break; a line of this model never does")
        tracer = self.tracer(top=top)
        if problem := tracer.problem(prompt):
            raise UsageError(problem)
        trace = tracer.with_next_place(prompt)
        names = [*map(self.tokenizer.display, range(self.tokenizer.size)), NEWLINE]
        return [(names[index], odds) for index, odds
                in zip(trace.top_ids[-1].tolist(), trace.top_probabilities[-1].tolist(), strict=True)]

    def trace(self, text: str, *, top: int = 10, units: bool = False) -> ShownTrace:
        """Return everything the model expects along a text; running text is read with its state carried.

        The arrays are those of `charlm.inference.trace.Trace`: nats, entropy, rank, top_ids and top_probabilities and,
        with `units`, the activations of all units after each token. A notebook shows it as coloured text.
        """
        from charlm.reports.notebook import ShownTrace
        from charlm.text.reading import strip_line_end
        _check_text(text, "trace", "text")
        every = range(self.stored.config.num_layers * self.stored.config.hidden_size) if units else ()
        tracer = self.tracer(carry=not self.task_row.ends_with_eos, top=top, units=every)
        self._check_pairs([text])
        trace = tracer.score([text if tracer.includes_line_end else strip_line_end(text)])[0]
        return ShownTrace(**vars(trace), tokenizer=self.tokenizer)

    def state(self, text: str = "") -> HiddenStates:
        """Return the state of the network after it has read a text, or the beginning of a line.

        `hidden` has shape (layers, hidden size), as has `cell`, which is None without an lstm. For a model with labels,
        the text begins with `label<TAB>`.
        """
        from charlm.inference.hidden_states import hidden_states
        self._require_no_source("state")
        _check_text(text, "state", "text")
        start = self.tokenizer.start_id
        if self.task_row.by_line:
            label, tab, rest = text.partition(TAB) if self.stored.labels else ("", "", text)
            if self.stored.labels and not tab:
                raise OptionError("text", "text", "has no label; with a labels model, begin it with `label<TAB>`")
            start = with_bos_eos(self.tokenizer, np.zeros(0, np.int32),
                                 self.stored.labels.index(label) if self.stored.labels else None)[0]
            text = rest
        ids = self.tokenizer.encode(text).astype(np.int64)
        return hidden_states(self.reproducible_network, np.concatenate([[start], ids]))

    def gradient_reach(self, text: str, *, steps: int = 200) -> FloatArray:
        """Return the norm of a loss's gradient with respect to the state 1, 2, ... steps before it; this needs torch.

        The result is (K,), K at most `steps` and fewer for a short text: means over places spread evenly in the text.
        Lines are read one after the other, each with its beginning and end. Raises CorpusError for a text that is too
        short. See `charlm.nn.gradient_reach`.
        """
        self._require_no_source("gradient_reach")
        _check_text(text, "gradient_reach", "text")
        import torch

        from charlm.nn.gradient_reach import gradient_reach, spread_rows
        from charlm.nn.network import Network as TorchNetwork
        rows = spread_rows(self._stream_ids(text), steps)
        network = TorchNetwork(self.stored.config)
        network.load_weights(self.stored.weights)
        return gradient_reach(network, torch.from_numpy(rows), min(steps, rows.shape[1] - 1))

    def _stream_ids(self, text: str) -> IntArray:
        """Return the ids of a text as one stream; lines with their beginnings and ends, and unknown labels left out."""
        if not self.task_row.by_line:
            return np.concatenate([[self.tokenizer.start_id], self.tokenizer.encode(text)]).astype(np.int64)
        rows = []
        for line in text.splitlines():
            label, tab, rest = line.partition(TAB) if self.stored.labels else ("", TAB, line)
            if tab and (not label or label in self.labels):
                index = self.labels.index(label) if label else None
                rows.append(with_bos_eos(self.tokenizer, self.tokenizer.encode(rest), index))
        return np.concatenate([np.zeros(0, np.int64), *rows])

    def _pair_reader(self) -> PairReader:
        from charlm.inference.pair_scoring import PairReader
        return PairReader(self.network, self.tokenizer, self.stored.source_tokenizer)

    def classifier(self, *, uniform_prior: bool = False,
                   among: Sequence[str] | None = None) -> Classifier | TargetClassifier:
        """Return a classifier of lines by label or, for a pairs model, of sources by the targets in `among`.

        Without `among`, the targets are the words that the model can write. Raises UsageError for a model without
        labels or words.
        """
        from charlm.inference.classification import Classifier
        if self.task_row.reads_source and "classify" in self.task_row.verbs:
            return self._target_classifier(among, uniform_prior=uniform_prior)
        if among is not None:
            raise OptionError("among", "--among", "is for pairs models")
        if not self.stored.labels:
            raise UsageError("this model has no labels; train one with `charlm train FILE --labels`")
        return Classifier(self.network, self.tokenizer, self.stored.labels, uniform_prior=uniform_prior)

    def _target_classifier(self, among: Sequence[str] | None, *, uniform_prior: bool) -> TargetClassifier:
        from charlm.inference.pair_scoring import TargetClassifier, target_words
        if uniform_prior:
            raise OptionError("uniform_prior", "--uniform-prior", "is for labels models; a pairs model has no prior")
        targets = [*dict.fromkeys(target_words(self.tokenizer) if among is None else among)]
        if not targets or any(not target or TAB in target or NEWLINE in target for target in targets):
            raise OptionError("among", "--among", "must list targets that are not empty and have no tab or line break")
        return TargetClassifier(self._pair_reader(), targets)

    def translator(self) -> Translator:
        """Return a translator of sources to targets."""
        from charlm.inference.translation import LengthLimit, Translator
        self._require("translate")
        return Translator(self.network, self.tokenizer, self.stored.source_tokenizer,
                          LengthLimit.from_metadata(self.stored.training))

    def infiller(self) -> Infiller:
        """Return an infiller of gaps."""
        from charlm.inference.infilling import Infiller
        self._require("fill")
        return Infiller(self.reproducible_network, self.tokenizer)

    def filtered_line_sampler(self, config: LineSamplingConfig, *, unique: bool = False, novel: bool = False,
                              match: str | None = None, refusals: Sequence[Refusal] = ()) -> FilteredLineSampler:
        """Return a sampler of lines that are unique, novel, match, or are not refused. Raises UsageError."""
        network = Network(self.stored.config, self.stored.weights, matmul=matmul_in_blocks)
        return FilteredLineSampler.of(network, self.tokenizer, self.stored.labels, self.stored.line_hashes, config,
                                      unique=unique, novel=novel, match=match, refusals=refusals)

    def near_lines(self, distance: int, known: Iterable[str] | None = None) -> Refusal:
        """Return a test for lines that are less than `distance` edits away from a training line, or a `known` line.

        Raises UsageError if `known` is needed: the hashes of the training lines suffice only up to a distance of 2.
        """
        from charlm.text.line_distance import MAX_HASHED_DISTANCE, LineTable, nearer_than
        if known is not None:
            table = LineTable(known)
            return lambda lines: table.are_near(lines, distance)
        spells_all = distance < 2 or self.tokenizer.kind == CharTokenizer.kind
        if self.stored.line_hashes is None or distance > MAX_HASHED_DISTANCE or not spells_all:
            limit = MAX_HASHED_DISTANCE if spells_all else 1
            advice = "" if self.stored.line_hashes is None else f", or lower it to {limit}"
            raise OptionError("min_distance", "--min-distance", f"{distance} needs the training lines; name their file "
                              f"with --corpus{advice}")
        characters = "".join(decode(self.tokenizer, [token]) for token in range(self.tokenizer.size)
                             if token not in self.tokenizer.unsampleable_ids)
        return nearer_than(distance, self.stored.line_hashes, characters)

    def max_line_length(self) -> int:
        """Return how many tokens a sampled line may have by default."""
        return max_line_length(self.stored.training)

    def generate(self, prompt: str, config: SamplingConfig, *, length: int, seed: int, samples: range = range(1),
                 stop: Sequence[str] = (), adapt: bool = False) -> Iterator[tuple[int, str]]:
        """Yield (sample index, piece of text) of running text after a prompt, at most `length` tokens a sample.

        Bytes that are not UTF-8 are lone surrogates (PEP 383), so that the text can be written exactly.

        With `adapt` the model first learns from the prompt.
        """
        ids = self.tokenizer.encode(prompt)
        network: AnyNetwork = self._adapted_to(ids) if adapt else self.reproducible_network
        return generate(network, self.tokenizer, ids, config, length=length, seed=seed, samples=samples, stop=stop)

    def generate_measured(self, prompt: str, config: SamplingConfig, *, length: int, seed: int, keys: Sequence[Key],
                          stop: Sequence[str] = (), adapt: bool = False) -> Iterator[tuple[Key, str, float]]:
        """Yield (key, piece of text, nats) for samples with these keys; sample i of `generate` has the key (i,).

        The nats are given the prompt, under the model's own distribution, before temperature and filters.
        """
        ids = self.tokenizer.encode(prompt)
        network: AnyNetwork = self._adapted_to(ids) if adapt else self.reproducible_network
        return generate_measured(network, self.tokenizer, ids, config, length=length, seed=seed, keys=keys, stop=stop)

    def _adapted_to(self, ids: IntArray) -> AnyNetwork:
        """Return the network of running text after it has learned from these ids."""
        from charlm.adaptation.network import AdaptedNetwork
        from charlm.adaptation.scoring import AdaptiveReader
        if self.task_row.by_line:
            raise UsageError(f"--adapt of sample is for models of running text, not for {self.task_row.model_phrase}")
        adapter = self.adapter()
        AdaptiveReader(self.reproducible_network, self.tokenizer, adapter).nats(ids.astype(np.int64))
        adapter.flush()
        return AdaptedNetwork(self.reproducible_network, adapter)

    def sample(self, prompt: str = "", *, length: int | None = None, seed: int | None = None, adapt: bool = False,
               **sampling: Any) -> str:
        """Return new text after a prompt, which is not repeated: 500 tokens by default, or up to the end of a line.

        With `adapt` a model of running text first learns from the prompt.
        """
        return "".join(self.stream(prompt, length=length, seed=seed, adapt=adapt, **sampling))

    def stream(self, prompt: str = "", *, length: int | None = None, seed: int | None = None, adapt: bool = False,
               **sampling: Any) -> Iterator[str]:
        """Yield what `sample` returns, piece by piece as it is generated; a line comes whole."""
        self._require("sample")
        _check_text(prompt, "stream", "prompt")
        if self.task_row.by_line and not adapt:
            line, = self.lines(1, prefix=prompt, length=length, seed=seed, **sampling)
            return iter([line[len(prompt):]])
        pieces = self.generate(prompt, _sampling(sampling), length=_count(length, "length", LENGTH),
                               seed=_seed(seed), adapt=adapt)
        return (replace_invalid(text) for _, text in pieces)

    def lines(self, count: int, *, prefix: str = "", label: str | None = None, unique: bool = False,
              novel: bool = False, match: str | None = None, min_distance: int = 0, known: Iterable[str] | None = None,
              best_of: int = 1, length: int | None = None, seed: int | None = None, **sampling: Any) -> list[str]:
        """Return sampled lines: all, unique, novel or matching ones. Raises CharlmError if too few qualify.

        With `min_distance`, lines are at least that many edits away from every training line, or every line of `known`.
        Each line is the one with the fewest bits per character among `best_of` that qualify.
        """
        _check_text(prefix, "lines", "prefix")
        if not self.task_row.by_line:
            raise UsageError(f"{self.task_row.model_phrase} does not sample lines; `charlm train FILE --lines` does")
        config = LineSamplingConfig(_sampling(sampling), _seed(seed),
                                    _count(length, "length", self.max_line_length()), prefix, label,
                                    best_of=max(_count(best_of, "best-of", 1), 1))
        refusals = [self.near_lines(min_distance, known)] if _count(min_distance, "min-distance", 0) else []
        sampler = self.filtered_line_sampler(config, unique=unique, novel=novel, match=match, refusals=refusals)
        found = [replace_invalid(line.text) for lines in sampler.lines(_count(count, "count", 0)) for line in lines]
        if len(found) < count:
            raise CharlmError(f"found {len(found)} of {count} lines among {sampler.tried} sampled")
        return found

    def score(self, text: str, *, source: str | None = None) -> TextScore:
        """Return how surprising a text is: `bits`, `characters`, `bits_per_character`.

        A pairs model scores a target given its `source`, which can also precede it as `source<TAB>target`.
        """
        _check_text(text, "score", "text", "; scores() takes several")
        if source is not None:
            _check_text(source, "score", "source")
            if not self.task_row.reads_source:
                raise UsageError(f"source is for pairs models, not for {self.task_row.model_phrase}")
            text = f"{source}{TAB}{text}"
        return self.scores([text])[0]

    def scores(self, texts: Sequence[str]) -> list[TextScore]:
        """Return the scores of independent texts; much faster than one call for each."""
        from charlm.text.reading import strip_line_end
        if isinstance(texts, str):
            raise TypeError("scores() takes a sequence of texts, not one str; score() takes one")
        for text in texts:
            _check_text(text, "scores", "a sequence of texts")
        scorer = self.scorer()
        self._check_pairs(texts)
        return [*scorer.score(list(texts) if scorer.includes_line_end else [strip_line_end(text) for text in texts])]

    def surprisals(self, text: str) -> list[tuple[str, float]]:
        """Return the bits of every character, or of the shortest spans that tokens stand for; a line's end is last."""
        from charlm.inference.line_scoring import bits_by_span
        return list(bits_by_span(self.score(text), self.tokenizer))

    def classify(self, text: str, *, uniform_prior: bool = False,
                 among: Sequence[str] | None = None) -> dict[str, float]:
        """Return the probability of every label or, with a pairs model, of every target; likeliest first."""
        from charlm.text.reading import strip_line_end
        _check_text(text, "classify", "text")
        if isinstance(among, str):
            raise TypeError("among is a sequence of targets, not one str")
        classifier, line = self.classifier(uniform_prior=uniform_prior, among=among), strip_line_end(text)
        if problem := classifier.problem(line):
            raise UsageError(problem)
        posteriors = classifier.posteriors([line])[0].tolist()
        return dict(sorted(zip(classifier.names, posteriors, strict=True), key=lambda pair: -pair[1]))

    def translate(self, source: str, *, beam: int = 5) -> str:
        """Return the likeliest target of a source."""
        return self.translations(source, beam=beam)[0].text

    def translations(self, source: str, *, beam: int = 5, length_penalty: float = 1.0) -> list[Translation]:
        """Return at most `beam` targets of a source, best first."""
        _check_text(source, "translations", "source")
        translator = self.translator()
        if not source:
            raise UsageError("source is empty; an empty source has no target")
        if not 1 <= beam <= MAX_BEAM:
            raise OptionError("beam", "--beam", f"must be a whole number from 1 to {MAX_BEAM}, not {beam!r}")
        found = translator.translate([source], beam=beam, length_penalty=length_penalty)[0]
        return [replace(target, text=replace_invalid(target.text)) for target in found]

    def alignment(self, source: str, target: str | None = None) -> Alignment:
        """Return which letters of a source the model attends to as it writes each token of a target, or its best."""
        from charlm.inference.alignment import align
        best = self.translate(source) if target is None else target
        _check_text(best, "alignment", "target")
        return align(self.reproducible_network, self.translator(), source, best)

    def fill(self, text: str, *, gap: str = "___", seed: int | None = None, **sampling: Any) -> str:
        """Return a line with its gaps filled, greedily unless a temperature is given."""
        _check_text(text, "fill", "text")
        infiller = self.infiller()
        if not gap:
            raise OptionError("gap", "--gap", "must have at least one character")
        config = _sampling({"temperature": 0.0} | sampling)
        before, *parts = text.split(gap)
        fills = infiller.fill([[before, *parts]], config, seed=_seed(seed), line_numbers=[1])[0][0]
        return before + "".join(replace_invalid(fill) + part for fill, part in zip(fills, parts, strict=True))

    def _check_pairs(self, texts: Sequence[str]) -> None:
        if self.task_row.reads_source and not all(TAB in text for text in texts):
            raise UsageError("a pairs model scores targets given their sources; use score(target, source=...), or "
                             "give source<TAB>target")

    def _require_no_source(self, method: str) -> None:
        if self.task_row.reads_source:
            raise UsageError(f"{self.task_row.model_phrase} reads sources and targets; {method}() takes a single text")

    def _require(self, verb: str) -> None:
        if verb not in self.task_row.verbs:
            raise UsageError(f"{self.task_row.model_phrase} does not {verb}; it works with "
                             f"{', '.join(self.task_row.verbs)}")


def _sampling(values: dict[str, Any]) -> SamplingConfig:
    check_keywords(values, [field.name for field in fields(SamplingConfig)], "sampling ")
    return SamplingConfig(**values)


def _check_text(value: object, method: str, name: str, hint: str = "") -> None:
    if not isinstance(value, str):
        raise TypeError(f"{method}() takes {name} as a str, not {type(value).__name__}{hint}")


def _seed(given: int | None) -> int:
    return secrets.randbelow(1 << 32) if given is None else _count(given, "seed", 0)


def _count(given: int | None, name: str, default: int) -> int:
    if given is not None and (not isinstance(given, int) or given < 0):
        raise OptionError(name, f"--{name}", f"must be a whole number of at least 0, not {given!r}")
    return default if given is None else given


def load(path: str | os.PathLike[str], *, device: str = "cpu") -> LanguageModel:
    """Read a model from its file. Raises ModelFileError for anything that is not exactly a model.

    On the device `cuda` scores are computed on a GPU, with torch.
    """
    return LanguageModel(load_file(os.fspath(path)), device=device)
