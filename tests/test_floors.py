"""Folders are arranged on floors: imports point down only, and light modules never import heavy ones."""

import ast
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

import charlm
from tests.helpers.source import fail_if_any

FOLDER = Path(charlm.__file__).parent
FILES = {".".join(("charlm", *path.relative_to(FOLDER).with_suffix("").parts)).removesuffix(".__init__"): path
         for path in FOLDER.rglob("*.py")}

FLOORS = {"__main__": 5, "cli": 5, "": 5, "evaluators": 4, "breakdowns": 4, "previews": 4, "panels": 4, "old_text": 4,
          "training_api": 4, "kenlm": 4, "model": 4, "reports": 4, "compression": 4, "summary": 3, "training": 3,
          "nn": 3, "adaptation": 3, "inference": 3,
          "modelfile": 2, "checkpoint": 2, "container": 2, "storage": 2, "lock": 2, "text": 1, "history": 1,
          "provenance": 1, "distribution": 1, "thinning": 0, "sizes": 0, "version": 0, "contract": 0, "tasks": 0,
          "registry": 0, "config": 0, "events": 0, "errors": 0}
BESIDE = {("__main__", "cli"), ("cli", ""), ("evaluators", "model"), ("model", "reports"), ("breakdowns", "model"),
          ("breakdowns", "evaluators"), ("previews", "model"), ("panels", "model"), ("panels", "reports"),
          ("old_text", "evaluators"), ("old_text", "model"),
          ("training_api", "model"), ("training_api", "previews"), ("training_api", "reports"), ("kenlm", "model"),
          ("training", "nn"), ("training", "inference"), ("training", "adaptation"), ("adaptation", "inference"),
          ("modelfile", "container"), ("modelfile", "storage"), ("checkpoint", "container"),
          ("checkpoint", "storage"), ("config", "errors"), ("contract", "config"), ("events", "tasks")}
HEAVY = {"torch", "numpy", "rich", "sentencepiece", "safetensors"}


def room(module):
    """Return the first name below `charlm`, or an empty string for the package itself.

    >>> room("charlm.nn.layers")
    'nn'
    """
    return module.partition(".")[2].partition(".")[0]


def imports_of(tree):
    """Yield the names of all modules that a syntax tree imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES else node.module


@functools.cache
def own_imports(module):
    """Return the modules of charlm that a module imports."""
    return {name for name in imports_of(ast.parse(FILES[module].read_text(encoding="utf-8"))) if name in FILES}


def run_python(code):
    """Return the words that a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_every_module_has_a_floor():
    assert len(FILES) > 40
    assert {room(module) for module in FILES} <= set(FLOORS)


def test_imports_point_down_only():
    found = [(module, name) for module in sorted(FILES) for name in own_imports(module)]
    allowed = {(module, name) for module, name in found for here, there in [(room(module), room(name))]
               if there == here or (here, there) in BESIDE or FLOORS[there] < FLOORS[here]}
    fail_if_any([f"{module} imports {name}" for module, name in found if (module, name) not in allowed])
    assert len(found) > 100


def test_there_are_no_circular_imports():
    order = graphlib.TopologicalSorter({module: own_imports(module) for module in FILES}).static_order()
    assert set(FILES) <= set(order)     # a circle raises CycleError


def test_inference_and_nn_import_neither_each_other_nor_training():
    known = {here: {room(name) for module in FILES if room(module) == here for name in own_imports(module)}
             for here in ("inference", "nn")}
    assert not known["inference"] & {"nn", "training"}
    assert not known["nn"] & {"inference", "training"}


def light(module):
    """Return True if a module must not import torch."""
    return FLOORS[room(module)] < 3 or room(module) in ("inference", "adaptation", "compression")


def test_no_light_module_imports_torch():
    for module, path in FILES.items():
        if light(module):
            names = imports_of(ast.parse(path.read_text(encoding="utf-8")))
            assert not any(name.split(".")[0] == "torch" for name in names), module


def test_light_modules_run_without_torch():
    modules = sorted(filter(light, FILES))
    assert len(modules) > 15
    loaded = run_python(f"import {', '.join(modules)}, sys\nprint(*sys.modules)")
    assert "charlm.inference.network" in loaded and "charlm.text.tokenizers.subword" in loaded
    assert "torch" not in loaded


def test_command_modules_import_no_heavy_library():
    modules = sorted(module for module in FILES if room(module) == "cli")
    loaded = run_python(f"import {', '.join(modules)}, sys\nprint(*sys.modules)")
    assert "click" in loaded
    assert not HEAVY & set(loaded)


LOADED = """
import sys
from charlm.cli.main import main
sys.stderr = sys.stdout
for *arguments, code in {runs}:
    sys.argv = ["charlm", *arguments]
    try:
        main()
    except SystemExit as end:
        assert (end.code or 0) == code, arguments
print("loaded:", *sys.modules)
"""


def modules_after(*runs):
    """Return the words that commands print, and the modules loaded after them; a run is its arguments and exit code."""
    words = run_python(LOADED.format(runs=runs))
    at = words.index("loaded:")
    return words[:at], set(words[at:])


def test_help_imports_neither_numpy_nor_torch_nor_rich():
    verbs = ("train", "sample", "eval", "translate", "fill", "info", "compress", "view")
    words, loaded = modules_after(["--help", 0], ["--version", 0], *([verb, "--help", 0] for verb in verbs))
    assert words.count("Usage:") == 1 + len(verbs) and "click" in loaded and not HEAVY & loaded


def test_a_corpus_is_refused_before_torch_is_imported(tmp_path):
    (tmp_path / "bytes").write_bytes(b"abc\xff\n")
    (tmp_path / "short").write_bytes(b"a")
    words, loaded = modules_after(*(["train", str(tmp_path / name), "-o", str(tmp_path / "m"), 4]
                                    for name in ("none", "bytes", "short")))
    assert all(problem in " ".join(words) for problem in ("No such file", "not UTF-8", "too few"))
    assert "click" in loaded and "torch" not in loaded
