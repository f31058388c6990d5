"""The n-gram yardstick: a distribution, worked by hand, better with more text and with longer contexts."""

import numpy as np
import pytest

from charlm.inference.ngrams import ngram_nats


def probability(train, context, token, *, size, order):
    return np.exp(-ngram_nats(np.array(train), np.array([*context, token]), size, order=order)[-1])


@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_probabilities_of_all_next_tokens_sum_to_one(order):
    rng = np.random.default_rng(order)
    train, context = rng.integers(0, 4, 300), rng.integers(0, 5, 8)
    total = sum(probability(train, context, token, size=5, order=order) for token in range(5))
    assert total == pytest.approx(1, abs=1e-12)


def test_a_bigram_model_equals_one_worked_by_hand():
    # a b a c a b has the bigrams _a, ba, ac, ca once and ab twice: the discount is 4 / (4 + 2), and a has 3 tokens
    # after it, of two kinds. Of the five kinds of bigrams one ends in b, as one ends in c and none twice: discount 1.
    train, discount = [0, 1, 0, 2, 0, 1], 4 / 6
    unigram = (1 - 1) / 5 + 1 * 3 / 5 * (1 / 3)
    expected = (2 - discount) / 3 + discount * 2 / 3 * unigram
    assert probability(train, [0], 1, size=3, order=2) == pytest.approx(expected)


def test_an_unseen_token_keeps_some_probability():
    assert 0 < probability([0, 1] * 50, [0], 2, size=3, order=4) < 0.05


def test_longer_contexts_and_more_text_predict_better():
    words = ["alder ", "birch ", "cedar ", "elm "]
    text = "".join(np.random.default_rng(0).choice(words, 3000))
    ids = np.unique(np.array([*text]), return_inverse=True)[1]

    def nats(train, order):
        return ngram_nats(ids[:train], ids[-2000:], ids.max() + 1, order=order).mean()
    assert nats(9000, 5) < nats(9000, 2) < nats(9000, 1)
    assert nats(9000, 5) < nats(300, 5)
