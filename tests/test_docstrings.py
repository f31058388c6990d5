"""Docstrings: everything public has one, it opens with a verb or a noun phrase, and the wording is plain English."""

import ast
import re

import pytest

from tests.helpers.source import ROOT, fail_if_any, located, parse, python_files, text_files

MODULES = python_files("charlm")
# A docstring that opens with one of these words is a clause without its main verb.
HEADLESS = {
    "What", "That", "Of", "How", "Whether", "Which", "Who", "Where", "When", "As", "For", "By", "In", "With", "From",
    "To", "On", "At",
    "Nothing", "So", "Than", "Because", "If", "Such", "No", "Not", "None", "Also", "Only", "Up", "Down", "Per", "Until",
    "While", "Why"}
# "If the window is full, encode it" is a sentence: a clause or phrase, a comma, and more than another clause.
SENTENCE = re.compile(r"(?:If|When|Where|While|Until|Because|As|For|By|In|With|From|To|On|At|Per) [^,.:;]+, "
                      r"(?!and |as |but |else|if |nor |nothing|or |so |that |when|where|which|who|with)")
# Regular expressions; the first letter may also be a capital.
BANNED = [
    "told of", "said with", "stands(?! for)", "at wish", "wished", "so many", "anew", "by its own", "is none", "may go",
    "nothing when",
    "what it had come to", "talks", "go on with", "in the place of", "(?<!top )of its own", "by themselves",
    "as frequent as", "goes round"]


def public_definitions(node, prefix=""):
    """Yield (qualified name, node) of the public classes, functions and methods of a module or class."""
    for child in node.body:
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not child.name.startswith("_"):
            if not any(isinstance(one, ast.Attribute) and one.attr in ("setter", "deleter")
                       for one in child.decorator_list):
                yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public_definitions(child, f"{child.name}.")


def all_docstrings(tree):
    """Yield (line, docstring) of everything in a module that has a docstring, private definitions included."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node)
            if docstring:
                yield node.body[0].lineno, docstring


def is_headless(docstring):
    """Return True if a docstring opens with a clause that has no main verb.

    >>> [is_headless(text) for text in ("Whether it is full.", "Return True if it is.", "If it is full, encode it.")]
    [True, False, False]
    """
    first = re.match(r"\w*", docstring)[0]
    return first in HEADLESS and not SENTENCE.match(docstring)


def test_everything_public_has_a_docstring():
    missing = []
    for path in MODULES:
        tree = parse(path)
        if tree.body and ast.get_docstring(tree) is None:
            missing.append(located(path, 1, "the module has no docstring"))
        missing += [located(path, node.lineno, f"{name} has no docstring")
                    for name, node in public_definitions(tree) if ast.get_docstring(node) is None]
    fail_if_any(missing)


def test_docstrings_open_with_a_verb_or_a_noun_phrase():
    fail_if_any([located(path, line, docstring.splitlines()[0])
            for path in MODULES for line, docstring in all_docstrings(parse(path)) if is_headless(docstring)])


def test_no_text_has_a_banned_phrase():
    capitals = [phrase.capitalize() if phrase[0].isalpha() else phrase for phrase in BANNED]
    pattern = re.compile(rf"\b(?:{'|'.join([*BANNED, *capitals])})\b")
    fail_if_any([located(path, number, f"{found[0]!r} in: {line.strip()[:100]}")
            for path in text_files() if path.name != "test_docstrings.py"
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            if (found := pattern.search(line))])


@pytest.mark.parametrize("docstring, headless", [
    ("What a step costs.", True), ("Of every line, its score.", True), ("As in training.", True),
    ("No more than one.", True),
    ("If the window is full, encode it as the new memory.", False), ("A cell.", False),
    ("Return the cost of a step.", False),
    ("If the window is full, or not.", True), ("When it ends, which may be soon.", True),
    ("`gap` marks a gap.", False)])
def test_headless_openings_are_recognised(docstring, headless):
    assert is_headless(docstring) == headless


def test_all_modules_are_checked():
    assert len(MODULES) > 40 and ROOT / "charlm" / "config.py" in MODULES
