"""Every example in a docstring is true."""

import doctest
import importlib

from tests.helpers.source import ROOT, fail_if_any, python_files

MODULES = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                 for path in (*python_files("charlm"), *python_files("tests/helpers"))
                 if ">>> " in path.read_text(encoding="utf-8"))


def test_examples_in_docstrings_are_correct():
    done = {name: doctest.testmod(importlib.import_module(name)) for name in MODULES}
    fail_if_any([f"{name}: {results.failed} wrong" for name, results in done.items() if results.failed])
    assert sum(results.attempted for results in done.values()) > 50
