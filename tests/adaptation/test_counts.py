"""The table of counts: exact as long as there is room, and of one size whatever is read."""

from collections import Counter

import numpy as np

from charlm.adaptation.counts import ORDERS, SLOTS, ContextCounts, find_contexts


def recent_of(tokens, size):
    text = np.concatenate([np.full(ORDERS, size), tokens])
    return np.lib.stride_tricks.sliding_window_view(text, ORDERS)[:-1, ::-1]


def counted(table, recent, order):
    """Return {token: count} of one context."""
    tokens, counts = table.followers(find_contexts(recent[None]))
    return {int(token): int(count) for token, count in zip(tokens[0, order], counts[0, order], strict=True) if count}


def test_counts_are_those_of_the_text():
    tokens = np.random.default_rng(0).integers(0, 5, 400)
    recent, table = recent_of(tokens, 5), ContextCounts(5)
    for start in range(0, 400, 32):
        table.add(find_contexts(recent[start:start + 32]), tokens[start:start + 32])
    for order in range(ORDERS):
        same = (recent[:, :order + 1] == recent[-1, :order + 1]).all(axis=1)
        assert counted(table, recent[-1], order) == Counter(tokens[same].tolist())


def test_a_block_counts_as_its_tokens_one_by_one():
    tokens = np.random.default_rng(1).integers(0, 3, 64)
    recent, block, single = recent_of(tokens, 3), ContextCounts(3), ContextCounts(3)
    block.add(find_contexts(recent), tokens)
    for at in range(64):
        single.add(find_contexts(recent[at:at + 1]), tokens[at:at + 1])
    assert all(counted(block, row, order) == counted(single, row, order) for row in recent for order in range(ORDERS))


def test_in_a_full_row_a_new_follower_replaces_the_rarest():
    table, recent = ContextCounts(100), np.full((1, ORDERS), 7)
    for token in [*range(SLOTS)] * 2 + [0]:
        table.add(find_contexts(recent), np.array([token]))
    table.add(find_contexts(recent), np.array([50]))
    found = counted(table, recent[0], 0)
    assert len(found) == SLOTS and found[50] == 1 and found[0] == 3


def test_a_count_never_overflows_and_keeps_its_lead():
    table, recent = ContextCounts(100), np.full((40, ORDERS), 7)
    table.add(find_contexts(recent[:1]), np.array([3]))
    for _ in range(50):
        table.add(find_contexts(recent), np.full(40, 9))
    found = counted(table, recent[0], 0)
    assert 100 < found[9] < 256 and 3 not in found or found[3] <= 1


def test_an_unseen_context_has_no_followers():
    table = ContextCounts(5)
    table.add(find_contexts(np.full((1, ORDERS), 2)), np.array([1]))
    assert not any(counted(table, np.full(ORDERS, 4), order) for order in range(ORDERS))
