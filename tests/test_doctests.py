"""Every example in a docstring is true."""

import doctest
import importlib
import pkgutil

import pytest

import charlm

MODULES = sorted(found.name for found in pkgutil.walk_packages(charlm.__path__, "charlm.")
                 if found.name != "charlm.__main__")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name))) > 3
