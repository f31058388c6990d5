"""The source files of the repository, as syntax trees and as lines."""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def python_files(folder):
    """Return the Python files below a folder of the repository, in order."""
    return sorted((ROOT / folder).rglob("*.py"))


def text_files():
    """Return the files that people read: the package, its tests, README and the documentation."""
    documents = [path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")
                 if path.exists()]
    return [*python_files("charlm"), *python_files("tests"), *documents, *sorted((ROOT / "docs").rglob("*.md"))]


@functools.cache
def parse(path):
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def located(path, line, message):
    """Return a message with the place it is about, relative to the repository.

    >>> located(ROOT / "README.md", 3, "too long")
    'README.md:3: too long'
    """
    return f"{path.relative_to(ROOT)}:{line}: {message}"


def fail_if_any(findings):
    """Fail the test with one finding a line, if there are any."""
    if findings:
        pytest.fail(f"{len(findings)} findings\n" + "\n".join(findings), pytrace=False)


@functools.cache
def functions(path):
    """Return every function of a file, nested ones included."""
    return [node for node in ast.walk(parse(path)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
