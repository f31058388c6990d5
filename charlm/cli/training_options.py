"""The flags of `charlm train`: the task, the tokens, the network, the run, and going on with one."""

from __future__ import annotations

import click

from charlm.cli import options
from charlm.config import (
    ENCODERS,
    GATES,
    NONLINEARITIES,
    OPTIMIZERS,
    SOURCE_TOKENIZERS,
    TARGET_TOKENIZERS,
    TrainingConfig,
)

_TASK = [
    click.option("--text", "text", is_flag=True, help="Running text, tabs and all."),
    click.option("--pairs", "pairs", is_flag=True,
                 help="Lines of source<TAB>target, for `translate`. Default for .tsv, and where "
                      "a file begins with such lines."),
    click.option("--lines", "lines", is_flag=True,
                 help="Lines, each by itself: names, records, verses."),
    click.option("--labels", "labels", is_flag=True,
                 help="Lines of label<TAB>text, each conditioned on its label, for `sample --label` "
                      "and `classify`."),
    click.option("--fill", "fill", is_flag=True,
                 help="Running text, of which random gaps are learned, for `fill`."),
]
_NETWORK = [
    click.option("--cell", type=click.Choice(list(GATES)), default="lstm", show_default=True,
                 help="Recurrent cell."),
    click.option("--nonlinearity", type=click.Choice(NONLINEARITIES), default="tanh",
                 show_default=True, help="Of the rnn cell."),
    click.option("--layers", type=int, default=2, show_default=True, help="Stacked layers."),
    click.option("--hidden", type=int, help="Width of a layer. Default: by the corpus."),
    click.option("--embedding", type=int, help="Width of the embedding. Default: 64."),
    click.option("--tied", is_flag=True, help="Head and embedding share a matrix of --hidden width."),
    click.option("--encoder", type=click.Choice(ENCODERS),
                 help="Who reads the source, or a stream's window before this one; shared: the decoder "
                      "itself. Default: bidirectional for pairs and gaps, else shared."),
    click.option("--bidirectional", is_flag=True, help="Short for --encoder bidirectional."),
    click.option("--attention/--no-attention", default=None,
                 help="Attend to all of what the encoder read, or know its last states only. "
                      "Default: attention, wherever there is a source."),
    click.option("--dropout", type=float, help="On non-recurrent connections. Default: by the corpus."),
]
_RUN = [
    click.option("--optimizer", type=click.Choice(OPTIMIZERS), default="muon", show_default=True,
                 help="Muon moves the recurrent layers' matrices, AdamW the rest or all."),
    click.option("--lr", type=float, default=TrainingConfig.learning_rate, show_default=True,
                 help="AdamW's learning rate; Muon's is 10/3 of it."),
    click.option("--label-smoothing", type=float,
                 help="Share of each target given to all tokens alike. Default: 0.1 for pairs, else 0."),
    click.option("--weight-decay", type=float, help="Decoupled decay. Default: by the corpus."),
    click.option("--warmup", type=int, default=TrainingConfig.warmup, show_default=True,
                 help="Steps until the full rate, at most a tenth of all; it falls to 0 at the end."),
    click.option("--batch-size", type=int,
                 help="Lanes, lines or pairs read side by side. Default: by the corpus."),
    click.option("--bptt", type=int, default=64, show_default=True, help="Tokens of a window."),
    click.option("--clip", type=float, default=TrainingConfig.clip, show_default=True,
                 help="Clip the gradient's global norm; 0 is off."),
    click.option("--clip-value", type=float, default=0.0, show_default=True,
                 help="Clip each entry of the gradient; 0 is off."),
    click.option("--minutes", type=float, help="Train for this long, planned from measured speed."),
    click.option("--epochs", type=float, help="Train for this many passes."),
    click.option("--steps", type=int, help="Train for this many updates."),
    click.option("--averaging", type=float, default=TrainingConfig.averaging, show_default=True,
                 help="Keep a running mean of the weights, of this decay, as 0.999; 0 is off."),
    click.option("--patience", type=int,
                 help="Stop after so many validations without a better one; 0 is off. "
                      f"Default: {TrainingConfig.patience}, but 0 with --minutes."),
    click.option("--seed", type=int, default=0, show_default=True,
                 help="Repeat a run to the bit, or vary it."),
]
_TEXT = [
    click.option("--tokenizer", type=click.Choice(TARGET_TOKENIZERS),
                 help="What a token of the text, or of a target, is. Default: char; word for targets of "
                      "few different words."),
    click.option("--source-tokenizer", type=click.Choice(SOURCE_TOKENIZERS),
                 help="What a token of a source is. Default: nfd, characters taken apart into letters "
                      "and marks."),
    click.option("--vocab-size", type=click.IntRange(2), help="Tokens in the vocabulary."),
    click.option("--validation", metavar="FRACTION|FILE",
                 help="Held-out part: a share, or another file. Default: the last tenth, at most a "
                      "million characters; of lines a twentieth, of pairs a tenth, drawn at random, at most 20,000 "
                      "or 2,000."),
]
_GOING_ON = [
    click.option("--resume", is_flag=True,
                 help="Go on with an interrupted run, to the very bits that it would have come to."),
    click.option("--new-corpus", is_flag=True,
                 help="With --resume: the text is another one now, and that is meant."),
    click.option("--init-from", metavar="MODEL",
                 help="Begin with this model's weights, to learn another text on top; new characters are "
                      "added to its vocabulary."),
    click.option("--checkpoint-every", type=float, default=60.0, show_default=True, metavar="SECONDS",
                 help="How often at least a checkpoint is written, beside one at every validation."),
]
_MACHINE = [
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
                 show_default=True, help="auto takes a GPU when there is one."),
    options.threads,
    click.option("--quiet", is_flag=True, help="Show errors only."),
]


def training_options(function):
    """Every flag of the command, in the order in which its help lists them."""
    for decorator in reversed([*_TASK, *_TEXT, options.errors, *_NETWORK, *_RUN, *_GOING_ON, *_MACHINE]):
        function = decorator(function)
    return function
