"""The pairwise cover that the fast suite runs in place of all architectures."""

import itertools

import pytest


@pytest.mark.parametrize("sizes, most", [
    ([2, 2], 4), ([3, 4, 3, 2], 14), ([3, 4, 3, 2, 2], 15), ([5], 0), ([2] * 8, 10)])
def test_cover_contains_every_pair_in_few_rows(pairwise_cover, sizes, most):
    factors = [range(size) for size in sizes]
    rows = pairwise_cover(*factors)
    assert len(rows) <= most and set(rows) <= set(itertools.product(*factors))
    for (one, first), (other, second) in itertools.combinations(enumerate(factors), 2):
        assert {(row[one], row[other]) for row in rows} == set(itertools.product(first, second))
