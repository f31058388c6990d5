"""Dynamic evaluation: a network all of whose weights learn from the text that it scores (Krause et al. 2018).

The text is read once, in segments. A segment is scored and only then learned from. The step is RMSprop's instead of one
scaled by the training text's mean squared gradients, which no model file holds; the pull back to the trained weights
is the paper's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from charlm.adaptation.adapter import Adapter
from charlm.adaptation.scoring import Reader, Rows, start_mask
from charlm.config import ModelConfig
from charlm.contract import BoolArray, FloatArray, IntArray, Tensors
from charlm.inference.network import Network as NumpyNetwork
from charlm.inference.scoring import LOGITS, add_unknown
from charlm.inference.text_scoring import StatefulReader
from charlm.modelfile import Model
from charlm.nn.network import Network
from charlm.nn.state import State
from charlm.training.environment import set_up

# Chosen on tinyshakespeare's last tenth (static 1.3786, adapted with counts 1.2430 nats) and kept for texts in Italian
# and Perl, where no other choice tried was more than 0.002 nats better; see docs/measurements.md.
SEGMENT = 32                            # tokens after which the weights learn
RATE = 1e-4                             # step of RMSprop
OUTER_RATE = 1.2e-3                     # step for embedding and head
PULL = 0.002                            # share of the way back to the trained weights that a step takes
SECOND_MOMENT = 0.999                   # decay of squared gradients, without bias as in Adam (Kingma and Ba 2015)


@dataclass(frozen=True, eq=False)
class _Tokens:
    """Consecutive tokens, each with the one that is read before it and whether it begins a text; all (T,)."""

    inputs: IntArray
    targets: IntArray
    starts: BoolArray

    def __len__(self) -> int:
        return len(self.targets)

    def part(self, start: int, stop: int) -> _Tokens:
        """Return the tokens from `start` to `stop`."""
        return _Tokens(self.inputs[start:stop], self.targets[start:stop], self.starts[start:stop])

    def joined(self, others: _Tokens) -> _Tokens:
        """Return these tokens and those that follow them."""
        return _Tokens(*(np.concatenate([getattr(self, name), getattr(others, name)])
                         for name in ("inputs", "targets", "starts")))


class DynamicEvaluator:
    """A network on the CPU that learns while it reads one text, or several texts one after the other.

    What was learned is carried from text to text, the hidden state is not. The last tokens that do not fill a segment
    are read again with those that follow, so that the pieces in which a text arrives do not matter.
    """

    def __init__(self, config: ModelConfig, weights: Tensors, *, rate: float = RATE, outer_rate: float = OUTER_RATE):
        """Begin with trained weights, which are copied. Rates of zero keep them as they are."""
        self._network = Network(config)
        self._network.load_weights(weights)
        self._network.eval()
        outer = [*self._network.embedding.parameters(), *self._network.head.parameters()]
        ids = set(map(id, outer))
        inner = [parameter for parameter in self._network.parameters() if id(parameter) not in ids]
        self._optimizer = torch.optim.Adam([{"params": inner, "lr": rate}, {"params": outer, "lr": outer_rate}],
                                           betas=(0.0, SECOND_MOMENT), fused=True)
        self._trained = [(parameter, parameter.detach().clone()) for parameter in self._network.parameters()]
        self._state = self._network.start(1)        # before the tokens that are waiting
        self._waiting = _Tokens(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool))

    def logits(self, inputs: IntArray, targets: IntArray, starts: BoolArray | None = None) -> FloatArray:
        """Return logits (T, V) for each target (T,), from weights that have not learned from it; then learn.

        `inputs` (T,) are the tokens before the targets. `starts` (T,) marks the first token of each new text, which is
        read from an empty state.
        """
        new = _Tokens(inputs, targets, np.zeros(len(inputs), bool) if starts is None else starts)
        found = np.empty((len(new), self._network.config.vocabulary_size), np.float32)
        at = 0
        while at < len(new):
            stop = min(at + SEGMENT - len(self._waiting), len(new))
            self._waiting = self._waiting.joined(new.part(at, stop))
            found[at:stop] = self._read()[at - stop:]
            at = stop
        return found

    def _read(self) -> FloatArray:
        """Return the logits of the waiting tokens, and learn from them if they fill a segment."""
        tokens, whole = self._waiting, len(self._waiting) == SEGMENT
        with torch.set_grad_enabled(whole):
            logits, state = self._forward(tokens)
        if whole:
            self._learn(F.cross_entropy(logits, torch.from_numpy(tokens.targets)))
            self._state, self._waiting = state.detach(), tokens.part(SEGMENT, SEGMENT)
        return logits.detach().numpy()

    def _forward(self, tokens: _Tokens) -> tuple[torch.Tensor, State]:
        """Return the logits (T, V) of tokens, and the state after the last."""
        state, logits = self._state, []
        borders = [0, *(start for start in np.flatnonzero(tokens.starts).tolist() if start), len(tokens)]
        for start, stop in zip(borders, borders[1:], strict=False):
            if tokens.starts[start]:
                state = self._network.start(1)
            read, state = self._network.step(torch.from_numpy(tokens.inputs[None, start:stop]), state)
            logits.append(read[0])
        return torch.cat(logits), state

    def _learn(self, loss: torch.Tensor) -> None:
        """Take one step down the gradient and one towards the trained weights."""
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        with torch.no_grad():
            for parameter, trained in self._trained:
                parameter.lerp_(trained, PULL)


class DynamicReader(Reader):
    """Reads texts with all weights of a model, and counts of what it read, learning from them."""

    def __init__(self, model: Model, static: NumpyNetwork):
        """Begin with a trained model; `static` is its network, for scores without adaptation."""
        set_up(None)
        self._evaluator = DynamicEvaluator(model.config, model.weights)
        self._counts = Adapter.of_logits(model.config.vocabulary_size, model.adaptation)
        self._tokenizer, self._static = model.tokenizer, StatefulReader(static, model.tokenizer)
        self._before: int | None = None             # the last token of the text that `nats` reads

    def nats(self, ids: IntArray) -> FloatArray:
        """Read the next piece (T,) of one text, with the state carried; return the nats of every token, (T,)."""
        starts = np.arange(len(ids)) < (self._before is None)
        before = self._tokenizer.start_id if self._before is None else self._before
        tokens = np.concatenate([[before], ids]).astype(np.int64)
        self._before = int(tokens[-1]) if len(ids) else self._before
        return self._read(_Tokens(tokens[:-1], tokens[1:], starts))

    def both(self, ids: IntArray) -> tuple[FloatArray, FloatArray]:
        """Read the next piece (T,) of one text; return the nats of every token without and with adaptation."""
        return self._static.nats(ids), self.nats(ids)

    def rows(self, rows: Rows) -> Iterator[FloatArray]:
        """Yield the nats of every id of each row except the first, which is only read, from an empty state."""
        rows = [row.astype(np.int64) for row in rows]
        if not rows:
            return
        inputs, targets = (np.concatenate([row[cut] for row in rows]) for cut in (slice(-1), slice(1, None)))
        nats = self._read(_Tokens(inputs, targets, start_mask(rows)))
        yield from np.split(nats, np.cumsum([len(row) - 1 for row in rows[:-1]]))

    def _read(self, tokens: _Tokens) -> FloatArray:
        """Return the nats (T,) of tokens, from at most LOGITS logits at once."""
        size, nats = max(LOGITS // self._tokenizer.size, 1), np.empty(len(tokens))
        for start in range(0, len(tokens), size):
            part = tokens.part(start, start + size)
            logits = self._evaluator.logits(part.inputs, part.targets, part.starts)
            nats[start:start + size] = self._counts.nats(logits, part.targets, part.starts)
        return add_unknown(nats, tokens.targets, self._tokenizer)
