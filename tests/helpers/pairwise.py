"""Pairwise covers of grids: every pair of values of two factors in some case, in far fewer cases than the product has.

A factor is a list of values, or a dict whose keys name its values in test ids.
"""

import itertools

import pytest


def pairwise(**factors):
    """Return cases, as dicts by factor, such that any two values of two factors are together in at least one.

    The cover is greedy (each case covers as many new pairs as any case could) and deterministic.

    >>> pairwise(cell=["gru", "rnn"], layers=[1, 2], tied=[False, True])[0]
    {'cell': 'gru', 'layers': 1, 'tied': False}
    """
    values = [_values(factor) for factor in factors.values()]
    return [dict(zip(factors, map(list.__getitem__, values, row), strict=True)) for row in _cover(list(map(len, values)))]


def grid(**factors):
    """Return the full Cartesian product as `pytest.param`s, those outside the pairwise cover marked slow.

    The values come in the order of the keywords, which must be that of `parametrize`'s names.
    """
    names = [list(map(str, factor)) for factor in factors.values()]
    values = [_values(factor) for factor in factors.values()]
    cover = set(_cover(list(map(len, values))))
    return [pytest.param(*map(list.__getitem__, values, row), id="-".join(map(list.__getitem__, names, row)),
                         marks=() if row in cover else pytest.mark.slow)
            for row in itertools.product(*(range(len(factor)) for factor in values))]


def _values(factor):
    return list(factor.values()) if isinstance(factor, dict) else list(factor)


def _cover(sizes):
    """Return rows of indices, one index a factor, that cover all pairs; greedy over the full product."""
    rows = list(itertools.product(*map(range, sizes)))
    if len(sizes) < 2:
        return rows
    pairs = {row: set(itertools.combinations(enumerate(row), 2)) for row in rows}
    missing, chosen = set().union(*pairs.values()), []
    while missing:
        best = max(rows, key=lambda row: len(pairs[row] & missing))     # the first of equals
        chosen.append(best)
        missing -= pairs[best]
    return chosen
