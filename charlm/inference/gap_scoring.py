"""How good a fill model is on a held-out text: gaps filled exactly, and their loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from charlm.config import SamplingConfig
from charlm.inference.filling import AT_ONCE, write_gaps
from charlm.inference.network import Network
from charlm.inference.sampling import Uniforms
from charlm.inference.scoring import forced_nats
from charlm.text.cache import TokenCache
from charlm.text.examples import padded
from charlm.text.gaps import Gapped, all_places, gap_characters, held_out_gaps
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
    """Cut gaps into pieces of a text, always the same ones, and fill each with the others missing."""
    texts = held_out_gaps(tokens, tokenizer)
    nats = exact = 0
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start:start + AT_ONCE]
        gaps = [ids for text in some for ids in text.gaps]
        nats += _nats(network, tokenizer, some, gaps)
        written = write_gaps(network, tokenizer, [text.source for text in some], all_places(some),
                             config=SamplingConfig(temperature=0),
                             uniforms=Uniforms(0, [(number,) for number in range(len(gaps))]))
        exact += sum(fill == ids.tolist() for fill, ids in zip(written, gaps))
    gaps = [ids for text in texts for ids in text.gaps]
    return GapScore(len(gaps), exact, nats, sum(len(ids) + 1 for ids in gaps),
                    gap_characters(texts, tokenizer))


def _nats(network: Network, tokenizer: Tokenizer, texts: list[Gapped], gaps: list[np.ndarray]) -> float:
    """Summed -log p of what is to be written."""
    state = network.encode(padded([text.source for text in texts], 0),
                           np.array([len(text.source) for text in texts]), all_places(texts))
    return forced_nats(network, tokenizer, gaps, state)[0]
