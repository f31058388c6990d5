"""Reading one long text on several cores, with the state carried from its start to its end.

Worker processes read the later parts of the text, each from an empty past. Then the beginning of each part is read
again from the state in which the part before it ended, but only until both ways have led to the same state: a network
forgets how it began. Reading token by token leads to states that differ nowhere by more than TOLERANCE; a part whose
beginning is not forgotten is read to its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from charlm.contract import FloatArray, IntArray, Network, Tokenizer
from charlm.inference.parallel import map_in_order
from charlm.inference.scoring import LOGITS, WINDOW, Measure
from charlm.inference.state import State

FIRST = 2048                            # tokens read before workers are worth starting
STRIDE = 128                            # tokens after which the two states of a part are compared
TOLERANCE = 1e-5                        # of every number of the hidden state, relative to those above 1

_Part = tuple[int, IntArray, IntArray]  # number, what is read (T,), what follows each token (T,)
_Steps = list[tuple[FloatArray, Any]]   # the measure (STRIDE, C) and the state after it


class CarriedReader:
    """Reads one text piece by piece and measures every token, given all tokens before it."""

    def __init__(self, network: Network, tokenizer: Tokenizer, measure: Measure, *, workers: int = 1):
        self._network, self._tokenizer, self._measure = network, tokenizer, measure
        self._state: Any = network.start(1)
        self._before, self._window = tokenizer.start_id, min(WINDOW, max(LOGITS // tokenizer.size, 1))
        # A network that attends to the text before has more state than its hidden state.
        self._workers = workers if isinstance(self._state, State) and self._state.memory is None else 1

    def read(self, ids: IntArray) -> FloatArray:
        """Read the next piece (T,); return the measure (T + 1, C) of every token.

        The last row is about what follows: only its columns that do not depend on the target have a meaning.
        """
        inputs, targets = (np.array(row, np.int64) for row in ([self._before, *ids], [*ids, 0]))
        last = (0, inputs[-1:], targets[-1:])
        measured: list[FloatArray] = []
        if self._workers > 1 and len(ids) >= 2 * FIRST:
            for part, steps in map_in_order(self._read_cold, self._parts(inputs, targets), workers=self._workers):
                measured += self._corrected(part, steps) if part[0] else self._accepted(steps)
        else:
            measured += self._accepted(self._steps((0, inputs[:-1], targets[:-1]), self._state, self._window))
        measured += [columns for columns, _ in self._steps(last, self._state, 1)]
        self._before = int(inputs[-1])
        return np.concatenate(measured)

    def _parts(self, inputs: IntArray, targets: IntArray) -> Iterator[_Part]:
        """Yield a first part for this process, and one for each worker; the last pair is left out."""
        count = len(inputs) - 1
        cuts = [0, *np.linspace(FIRST, count, self._workers + 1).astype(int).tolist()]
        for number, (start, stop) in enumerate(zip(cuts[:-1], cuts[1:], strict=True)):
            yield number, inputs[start:stop], targets[start:stop]

    def _steps(self, part: _Part, state: Any, stride: int) -> Iterator[tuple[FloatArray, Any]]:
        """Read a part from a state; yield the measure of each stride and the state after it."""
        _, inputs, targets = part
        for at in range(0, len(inputs), stride):
            logits, state = self._network.step(inputs[None, at:at + stride], state)
            yield self._measure(logits, targets[None, at:at + stride], self._tokenizer)[0], state

    def _read_cold(self, part: _Part) -> _Steps:
        """Read the first part from the current state, any other from an empty past."""
        return list(self._steps(part, self._network.start(1) if part[0] else self._state, STRIDE))

    def _accepted(self, steps: Iterator[tuple[FloatArray, Any]] | _Steps) -> Iterator[FloatArray]:
        for columns, self._state in steps:
            yield columns

    def _corrected(self, part: _Part, steps: _Steps) -> Iterator[FloatArray]:
        """Read a part again from the current state until it leads to the states of `steps`; yield all measures."""
        read = 0
        for read, (columns, state) in enumerate(self._steps(part, self._state, STRIDE), 1):
            yield columns
            if _are_close(state, steps[read - 1][1]):
                break
            self._state = state
        yield from self._accepted(steps[read:])


def _are_close(one: State, other: State) -> bool:
    return all((np.abs(here - there) <= TOLERANCE * np.maximum(np.abs(there), 1)).all()
               for layers in zip(one.layers, other.layers, strict=True)
               for here, there in zip(*layers, strict=True))
