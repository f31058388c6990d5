"""Alignments: the attention that the context is made of."""

import numpy as np
import pytest

from charlm.errors import UsageError
from charlm.inference.alignment import EMPTY, END, align
from charlm.inference.translation import LengthLimit, Translator
from charlm.text.tokenizers.registry import train

READS = train("nfd", ["abcú"], vocabulary_size=None)
WRITES = train("word", ["A B uː"], vocabulary_size=None)


@pytest.fixture
def aligned(random_network):
    """A function from a source, a target and options of the network to the network and the alignment."""
    def build(source, target, **options):
        network = random_network(WRITES.size + 1, source_vocabulary_size=READS.size, scale=3.0,
                                 **{"encoder": "bidirectional", "attention": True} | options)
        return network, align(network, Translator(network, WRITES, READS, LengthLimit(1.0)), source, target)
    return build


def test_rows_are_tokens_and_columns_letters_after_an_empty_one(aligned):
    _, found = aligned("bú", "B uː")
    assert found.source == (EMPTY, "b", "u", "\u0301") and found.target == ("B", "uː", END)
    assert found.weights.shape == (3, 4)
    np.testing.assert_allclose(found.weights.sum(axis=1), 1, rtol=1e-5)
    for row, (token, letter, weight) in zip(found.weights, found.best(), strict=True):
        assert weight == row.max() and letter == found.source[row.argmax()] and token in found.target


def test_the_context_is_the_mean_of_the_memory_weighted_by_attention(aligned):
    network, found = aligned("abc", "A B", num_layers=1)
    state = network.encode(READS.encode("abc").astype(np.int64)[None], np.array([3]))
    contexts, context = [], network._context._context
    network._context._context = lambda *arguments: contexts.append(context(*arguments)) or contexts[-1]
    network.step(np.array([[WRITES.size, *WRITES.encode("A B")]]), state)
    expected = found.weights @ state.memory.values[0]                   # (T, M)
    np.testing.assert_allclose(contexts[0][:, 0], expected, atol=1e-5)


def test_a_model_without_attention_is_refused(aligned):
    with pytest.raises(UsageError, match="no attention"):
        aligned("a", "A", attention=False)
