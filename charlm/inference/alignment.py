"""The alignment of a target and its source: the letters that a decoder attends to while it writes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from charlm.contract import FloatArray
from charlm.errors import UsageError
from charlm.inference.network import Network
from charlm.inference.translation import Translator
from charlm.text.special_tokens import with_bos_eos

EMPTY, END = "", "\n"                   # the position of no source letter, and the end of a target


@dataclass(frozen=True, eq=False)
class Alignment:
    """The attention paid to each letter of a source at each token of a target."""

    source: tuple[str, ...]             # (S,) first EMPTY, a learned position that is of no letter; then the letters
    target: tuple[str, ...]             # (T,) the tokens, then END
    weights: FloatArray                 # (T, S) a row sums to 1

    def best(self) -> list[tuple[str, str, float]]:
        """Return each token of the target with the letter, or EMPTY, that got most attention, and how much it got."""
        letters = self.weights.argmax(axis=1)
        return [(token, self.source[letter], float(self.weights[at, letter]))
                for at, (token, letter) in enumerate(zip(self.target, letters.tolist(), strict=True))]


def align(network: Network, translator: Translator, source: str, target: str) -> Alignment:
    """Return the alignment of a source, which must not be empty, and a target. Raises UsageError without attention."""
    if not network.config.attention:
        raise UsageError("this model has no attention, so it aligns nothing; train one with --attention")
    read, written = translator.source_tokenizer, translator.tokenizer
    letters = read.encode(source).astype(np.int64)
    tokens = with_bos_eos(written, written.encode(target))
    state = network.encode(letters[None], np.array([len(letters)]))
    recording = network.step_recorded(tokens[None, :-1], state)[2]
    return Alignment((EMPTY, *map(read.display, letters.tolist())),
                     (*map(written.display, tokens[1:-1].tolist()), END), recording.attention[0][0])
