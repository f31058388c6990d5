"""The pairwise covers that keep large grids out of the fast suite."""

import itertools

import pytest

from tests.helpers.pairwise import grid, pairwise

FACTORS = [{"a": [1, 2], "b": "xy"}, {"a": range(5), "b": "xyz", "c": [False, True], "d": range(4)},
           {"cell": ["lstm", "gru", "rnn"], "task": range(5), "way": {"plain": {}, "dropout": {"dropout": 0.3}, "ema": {"ema": 0.9}}},
           {"one": [1, 2, 3]}]


def values_of(factor):
    return list(factor.values()) if isinstance(factor, dict) else list(factor)


@pytest.mark.parametrize("factors", FACTORS, ids=lambda factors: "-".join(factors))
def test_every_pair_of_values_occurs_in_some_case(factors):
    cases = pairwise(**factors)
    for one, other in itertools.combinations(factors, 2):
        for pair in itertools.product(values_of(factors[one]), values_of(factors[other])):
            assert any((case[one], case[other]) == pair for case in cases), pair
    assert all(case[name] in values_of(factor) for case in cases for name, factor in factors.items())


def test_every_value_of_a_single_factor_is_a_case():
    assert pairwise(one=[1, 2, 3]) == [{"one": 1}, {"one": 2}, {"one": 3}]


def test_a_cover_is_the_same_every_time_and_much_smaller_than_the_product():
    factors = {name: range(4) for name in "abcde"}
    assert pairwise(**factors) == pairwise(**factors)
    assert 16 <= len(pairwise(**factors)) <= 32 < 4 ** 5


def test_a_grid_holds_every_case_once_and_only_the_cover_is_fast():
    factors = FACTORS[2]
    params = grid(**factors)
    fast = [param.values for param in params if not param.marks]
    assert sorted(map(str, fast)) == sorted(str(tuple(case.values())) for case in pairwise(**factors))
    assert len({param.id for param in params}) == len(params) == 3 * 5 * 3
    assert all(mark.name == "slow" for param in params for mark in param.marks)
    assert params[1].id == "lstm-0-dropout" and params[1].values == ("lstm", 0, {"dropout": 0.3})
