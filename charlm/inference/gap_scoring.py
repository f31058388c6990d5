"""How good a fill model is on a held-out text: gaps filled exactly, and their loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from charlm.config import SamplingConfig
from charlm.inference.filling import AT_ONCE, write_gaps
from charlm.inference.network import Network
from charlm.inference.sampling import Uniforms
from charlm.inference.scoring import surprisals
from charlm.text.cache import TokenCache
from charlm.text.examples import padded
from charlm.text.gaps import Gapped, gap_characters, held_out_gaps
from charlm.text.special import boundary
from charlm.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class GapScore:
    """Sums over all gaps."""

    gaps: int
    exact: int                          # gaps filled exactly by greedy search
    nats: float                         # each end included, as in the two below
    tokens: int
    characters: int


def score_gaps(network: Network, tokenizer: Tokenizer, tokens: TokenCache) -> GapScore:
    """Cut gaps into pieces of a text, always the same ones, and fill them."""
    texts = held_out_gaps(tokens, tokenizer)
    nats = exact = 0
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start:start + AT_ONCE]
        nats += _nats(network, tokenizer, some)
        exact += _exact(network, tokenizer, some)
    return GapScore(sum(text.gaps for text in texts), exact, nats,
                    sum(len(text.written) for text in texts), gap_characters(texts, tokenizer))


def _nats(network: Network, tokenizer: Tokenizer, texts: list[Gapped]) -> float:
    """Summed -log p of what is to be written."""
    end = boundary(tokenizer)
    state = network.encode(padded([text.source for text in texts], 0),
                           np.array([len(text.source) for text in texts]))
    logits, _ = network.step(padded([text.read for text in texts], end), state)
    costs = surprisals(logits, padded([text.written for text in texts], end), tokenizer)
    lengths = np.array([len(text.written) for text in texts])
    return float(costs[np.arange(costs.shape[1]) < lengths[:, None]].sum())


def _exact(network: Network, tokenizer: Tokenizer, texts: list[Gapped]) -> int:
    """Gaps filled exactly."""
    written = write_gaps(network, tokenizer, [text.source for text in texts],
                         gaps=[text.gaps for text in texts], config=SamplingConfig(temperature=0),
                         uniforms=Uniforms(0, [(number,) for number in range(len(texts))]))
    end, exact = boundary(tokenizer), 0
    for text, fills in zip(texts, written):
        wanted = np.split(text.written, np.flatnonzero(text.written == end) + 1)[:-1]
        exact += sum(fill == one.tolist()[:-1] for fill, one in zip(fills, wanted))
    return exact
