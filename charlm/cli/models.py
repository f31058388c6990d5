"""Which model a command uses, and opening it for inference."""

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
    """The given path, else the newest `*.charlm` in this folder but for one, named on stderr.

    Where there are several models, the newest of these tasks, with labels where they are asked for.
    """
    if path:
        return path
    other = besides and os.path.realpath(besides)
    found = sorted((name for name in glob.glob("*.charlm")
                    if os.path.isfile(name) and os.path.realpath(name) != other),
                   key=lambda name: (os.stat(name).st_mtime_ns, name), reverse=True)
    if not found:
        raise UsageError("no model here; train one with `charlm train CORPUS`, or name one with -m")
    newest = found[0]
    if tasks and len(found) > 1:
        from charlm.modelfile import peek
        claimed = ((name, *peek(name)) for name in found)
        newest = next((name for name, task, labels in claimed
                       if task in tasks and labels >= labelled), newest)
    message(f"using {newest}")
    return newest


def load_model(path: str | None, tasks: Sequence[str] = (), *, labelled: bool = False,
               besides: str | None = None) -> Model:
    """The model. Raises ModelFileError when it is none of these tasks or lacks labels that are asked
    for, UsageError when there is none."""
    from charlm.modelfile import load
    found = find_model(path, tasks, labelled=labelled, besides=besides)
    model = load(found)
    if tasks and model.task not in tasks or labelled and not model.labels:
        kind = "model of lines without labels" if model.task == "lines" and labelled else f"{model.task} model"
        verbs = USES["labels" if model.labels else model.task]
        also = "; labels are learned by `charlm train FILE --labels`" if labelled else ""
        raise ModelFileError(f"{found} is a {kind}; it works with charlm {verbs}{also}")
    return model


def open_model(path: str | None, tasks: Sequence[str] = ()) -> tuple[Model, Network]:
    """The model and its NumPy network."""
    from charlm.inference.network import Network
    model = load_model(path, tasks)
    return model, Network(model.config, model.weights)


def network_of(model: Model, device: str = "cpu") -> Network:
    """A network for many rows at once; in torch where the device is a GPU."""
    if device == "cuda":
        from charlm.nn.numpy_adapter import NumpyAdapter
        from charlm.training.environment import choose_device
        choose_device(device)
        return NumpyAdapter(model.config, model.weights, device)
    from charlm.inference.matmul import matmul
    from charlm.inference.network import Network
    return Network(model.config, model.weights, matmul=matmul)


def scorer_of(model: Model, *, carry: bool = False, device: str = "cpu") -> Scorer:
    """What scores lines with this model; `carry` reads them as one text, which lines are not."""
    from charlm.inference.line_scoring import make_scorer
    if carry and model.task == "lines":
        raise UsageError("--carry is for models of running text; a line of this model stands by itself")
    return make_scorer(network_of(model, device), model.tokenizer, model.labels, lines=model.task == "lines",
                       carry=carry)


def classifier_of(model: Model, *, uniform_prior: bool, device: str = "cpu") -> Classifier:
    """What tells the label of lines with this model, which has labels."""
    from charlm.inference.classification import Classifier
    return Classifier(network_of(model, device), model.tokenizer, model.labels, uniform_prior=uniform_prior)


def translator_of(model: Model) -> Translator:
    """A pairs model at work, many rows at once."""
    from charlm.inference.translation import LengthLimit, Translator
    return Translator(network_of(model), model.tokenizer, model.source_tokenizer,
                      LengthLimit.from_metadata(model.training))


def open_translator(path: str | None) -> Translator:
    return translator_of(load_model(path, ("pairs",)))
