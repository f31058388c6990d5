"""What a run may go on from: a checkpoint of its own, or a model whose weights it begins with.

Both say how texts are to be read, and which network and run they make; flags may then change a little.
"""

from __future__ import annotations

from dataclasses import dataclass

from charlm.checkpoint import Checkpoint
from charlm.modelfile import Model, check_consistency, load
from charlm.text.labels import Labels
from charlm.text.tokenizers.base import Tokenizer
from charlm.text.tokenizers.registry import Extendable
from charlm.training.checkpoint_state import described, texts_of, wishes_of


@dataclass(frozen=True)
class Past:
    """What is there already."""

    task: str
    flags: dict                         # about texts, by name: those that may not be changed
    wishes: dict                        # about network and run
    tokenizer: Tokenizer | Extendable
    source_tokenizer: Tokenizer | Extendable | None    # where it is another one
    labels: Labels | None
    says: str                           # why a flag is refused
    model: Model | None = None          # whose weights are the first ones


def of_checkpoint(checkpoint: Checkpoint) -> Past:
    """The run as it was. Raises ModelFileError."""
    run, texts = described(checkpoint), texts_of(checkpoint)
    check_consistency(Model(run.model, texts.tokenizer, {}, {}, run.task, texts.separate_source, texts.labels))
    flags = {**run.flags, **_of_texts(run.task, texts.tokenizer, texts.separate_source, texts.labels)}
    return Past(run.task, flags, wishes_of(run), texts.tokenizer, texts.separate_source, texts.labels,
                "--resume goes on with the run as it is")


def of_model(path: str) -> Past:
    """A model's network and vocabulary for a run of its own. Raises ModelFileError."""
    model = load(path)
    config, source = model.config, model.separate_source
    flags = {**_of_texts(model.task, model.tokenizer, source, model.labels), "vocab_size": None}
    wishes = {"cell": config.cell, "nonlinearity": config.nonlinearity, "layers": config.num_layers,
              "hidden": config.hidden_size, "embedding": config.embedding_size, "tied": config.tied,
              "encoder": config.encoder, "attention": config.attention}
    if config.window:
        wishes["bptt"] = config.window
    return Past(model.task, flags, wishes, Extendable(model.tokenizer), source and Extendable(source), model.labels,
                f"--init-from goes on with the task and the tokens of {path}", model)


def _of_texts(task: str, tokenizer: Tokenizer, source: Tokenizer | None, labels: Labels | None) -> dict:
    """The flags that read texts like this, whether they were given or found out."""
    flags = {"task": "labels" if labels else task, "tokenizer": tokenizer.kind}
    return flags if source is None else {**flags, "source_tokenizer": source.kind}
