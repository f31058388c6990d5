"""Limits on the structure of the code: where tasks are named, and how long functions and the package are."""

import ast

import pytest

from tests.helpers.source import fail_if_any, functions, located, parse, python_files

MODULES = python_files("charlm")
TASKS = {"text", "lines", "labels", "pairs", "fill", "stream"}
MAX_FILES_WITH_TASKS = 6
MAX_FUNCTION = 45                       # lines, docstring included
MAX_USUAL_FUNCTION = 20                 # lines of nine functions of ten
MAX_LINES = 24_400                      # of the package


def is_task(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in TASKS


def names_task(node):
    """Return True if a node names a task: in a comparison, a table or a list by task, or after `task=`."""
    if isinstance(node, ast.Compare):
        return any(map(is_task, (node.left, *node.comparators)))
    if isinstance(node, ast.Dict):
        return len(node.keys) > 1 and all(map(is_task, node.keys))
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return len(node.elts) > 1 and all(map(is_task, node.elts))
    if isinstance(node, ast.keyword):
        return node.arg == "task" and is_task(node.value)
    if isinstance(node, ast.AnnAssign):
        return getattr(node.target, "id", "") == "task" and is_task(node.value)
    return False


def lengths():
    """Yield (path, function, number of lines) of every function of the package."""
    for path in MODULES:
        for function in functions(path):
            yield path, function, function.end_lineno - function.lineno + 1


@pytest.mark.parametrize("source, expected", [
    ('model.task == "pairs"', True), ('task in ("lines", "labels")', True), ('f(task="fill")', True),
    ('{"text": 1, "fill": 2}', True),
    ('name == "pair"', False), ('{"line": 1, "text": "x"}', False), ('row["text"]', False), ('print("lines")', False)])
def test_names_of_tasks_are_recognised(source, expected):
    assert any(map(names_task, ast.walk(ast.parse(source)))) == expected


def test_few_files_name_a_task():
    found = {}
    for path in MODULES:
        for node in ast.walk(parse(path)):
            if names_task(node):
                found.setdefault(path, located(path, getattr(node, "lineno", 0), ast.unparse(node)))
    if len(found) > MAX_FILES_WITH_TASKS:
        fail_if_any([*found.values()])


def test_no_function_is_too_long():
    fail_if_any([located(path, function.lineno, f"{function.name} has {length} lines")
            for path, function, length in lengths() if length > MAX_FUNCTION])


def test_nine_functions_of_ten_are_short():
    ordered = sorted(length for _, _, length in lengths())
    assert ordered[len(ordered) * 9 // 10] <= MAX_USUAL_FUNCTION


def test_the_package_stays_small():
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES)
    assert lines <= MAX_LINES, f"{lines} lines"
