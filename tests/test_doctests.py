"""Every example in a docstring is true."""

import doctest
import importlib
import pkgutil

import pytest

import charlm
import tests.helpers

MODULES = sorted(found.name for package in (charlm, tests.helpers)
                 for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
                 if found.name != "charlm.__main__")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_correct(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples_in_docstrings():
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name))) > 3
