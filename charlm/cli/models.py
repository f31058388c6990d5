"""The choice of the model that a command uses, and its inference objects."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from charlm.cli.exit_codes import message
from charlm.errors import ModelFileError, UsageError

if TYPE_CHECKING:
    from charlm.inference.classification import Classifier
    from charlm.inference.line_scoring import Scorer
    from charlm.inference.network import Network
    from charlm.inference.translation import Translator
    from charlm.modelfile import Model

USES = {"stream": "sample, score, filter, eval", "lines": "sample, score, filter, eval",
        "labels": "classify, sample, score, filter, eval", "pairs": "translate, eval", "fill": "fill, eval"}


def find_model(path: str | None, tasks: Sequence[str] = (), *, labelled: bool = False,
               besides: str | None = None) -> str:
    """Return the given path, else the newest `*.charlm` in this folder other than `besides`, named on stderr.

    Among several models the newest of these tasks is chosen, with labels if `labelled`. Raises UsageError if
    there is no model.
    """
    if path:
        return path
    other = besides and os.path.realpath(besides)
    found = sorted((name for name in glob.glob("*.charlm") if os.path.isfile(name) and os.path.realpath(name) != other),
                   key=lambda name: (os.stat(name).st_mtime_ns, name), reverse=True)
    if not found:
        raise UsageError("no model here; train one with `charlm train CORPUS`, or name one with -m")
    newest = found[0]
    if tasks and len(found) > 1:
        from charlm.modelfile import peek
        peeked = ((name, *peek(name)) for name in found)
        newest = next((name for name, task, labels in peeked if task in tasks and labels >= labelled), newest)
    message(f"using {newest}")
    return newest


def load_model(path: str | None, tasks: Sequence[str] = (), *, labelled: bool = False,
               besides: str | None = None) -> Model:
    """Load the model that `find_model` finds.

    Raises ModelFileError if it has another task, or no labels although `labelled`; UsageError if there is no model.
    """
    from charlm.modelfile import load
    found = find_model(path, tasks, labelled=labelled, besides=besides)
    model = load(found)
    if tasks and model.task not in tasks or labelled and not model.labels:
        kind = "model of lines without labels" if model.task == "lines" and labelled else f"{model.task} model"
        verbs = USES["labels" if model.labels else model.task]
        hint = "; train one with labels: `charlm train FILE --labels`" if labelled else ""
        raise ModelFileError(f"{found} is a {kind}; it works with charlm {verbs}{hint}")
    return model


def open_model(path: str | None, tasks: Sequence[str] = ()) -> tuple[Model, Network]:
    """Load a model and build its NumPy network, whose results for a row do not depend on the batch."""
    from charlm.inference.network import Network
    model = load_model(path, tasks)
    return model, Network(model.config, model.weights)


def network_of(model: Model, device: str = "cpu") -> Network:
    """Build a network that is fast for large batches: in NumPy, or in torch on a GPU."""
    if device == "cuda":
        from charlm.nn.numpy_adapter import NumpyAdapter
        from charlm.training.environment import choose_device
        choose_device(device)
        return NumpyAdapter(model.config, model.weights, device)
    from charlm.inference.cells import matmul
    from charlm.inference.network import Network
    return Network(model.config, model.weights, matmul=matmul)


def scorer_of(model: Model, *, carry: bool = False, device: str = "cpu") -> Scorer:
    """Build the scorer of a text or line model; `carry` scores all lines as one text.

    Raises UsageError for `carry` with a line model.
    """
    from charlm.inference.line_scoring import make_scorer
    if carry and model.task == "lines":
        raise UsageError("--carry is for models of running text; this model scores each line independently")
    return make_scorer(model, network_of(model, device), carry=carry)


def classifier_of(model: Model, *, uniform_prior: bool, device: str = "cpu") -> Classifier:
    """Build the classifier of a model with labels. Raises ModelFileError if it has none."""
    from charlm.inference.classification import Classifier
    if model.labels is None:
        raise ModelFileError("the model has no labels; train one with --labels")
    return Classifier(network_of(model, device), model.tokenizer, model.labels, uniform_prior=uniform_prior)


def translator_of(model: Model) -> Translator:
    """Build the translator of a pair model."""
    from charlm.inference.translation import LengthLimit, Translator
    return Translator(network_of(model), model.tokenizer, model.source_tokenizer,
                      LengthLimit.from_metadata(model.training))
