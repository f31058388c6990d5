"""The documentation agrees with the program: help texts, links, file names, model file keys and versions."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

import charlm
from charlm.config import ModelConfig
from charlm.container import FORMAT
from charlm.version import __version__

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
         ROOT / "corpora" / "README.md"]
ARCHITECTURES = ({"tied": True}, {"encoder": "bidirectional", "source_vocabulary_size": 7, "attention": True})


def read(page):
    """Return the text of a page in docs/."""
    return (DOCS / page).read_text(encoding="utf-8")


def test_cli_reference_is_what_the_program_prints():
    command = [sys.executable, ROOT / "scripts" / "generate_cli_reference", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_every_page_of_docs_is_linked_from_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"](docs/{page.name})" in readme for page in DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_file_that_a_page_names_exists(page):
    named = re.findall(r"\btests/[\w/]+\.py\b", page.read_text(encoding="utf-8"))
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_every_promise_names_its_proof():
    rows = re.findall(r"^\| [A-Z].* \| (.*) \|$", read("reliability.md"), re.MULTILINE)
    assert len(rows) >= 16
    assert all(re.fullmatch(r"`tests/[\w/]+\.py`(, `tests/[\w/]+\.py`)*", proof) for proof in rows)


def test_model_file_page_names_every_key_and_every_tensor():
    page = read("model-file.md")
    keys = {field.name for field in dataclasses.fields(ModelConfig)}
    configs = [ModelConfig(7, num_layers=1, hidden_size=64, **options) for options in ARCHITECTURES]
    tensors = {re.sub(r"^decoder\.\d", "decoder.N", name) for config in configs for name in config.parameter_shapes()}
    tensors -= {name for name in tensors if name.startswith("encoder.layers.")}
    assert not [name for name in keys | tensors if f"`{name}`" not in page]
    assert f"format {FORMAT} " in page


def test_contributing_names_every_room_and_every_root_module():
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    package = ROOT / "charlm"
    folders = [path.parent for path in package.rglob("__init__.py") if path.parent != package]
    modules = [path for path in package.glob("*.py") if not path.stem.startswith("__")]
    named = [*(f"{path.relative_to(ROOT)}/" for path in folders), *(str(path.relative_to(ROOT)) for path in modules)]
    assert not [name for name in named if f"| `{name}` |" not in contributing]


def test_changelog_has_a_section_for_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {__version__}\n" in changelog and "\n## Unreleased\n" in changelog


def test_python_page_names_every_public_name_and_method():
    parts = {"adapter", "adaptive_reader", "classifier", "filtered_line_sampler", "generate", "generate_measured",
             "infiller", "max_line_length", "near_lines", "network", "reproducible_network", "scorer", "task_row",
             "tokenizer", "tracer", "translator", "watch_reading"}      # of the command line
    methods = {name for name in vars(charlm.LanguageModel) if not name.startswith("_")} - parts
    used = set(re.findall(r"[`.](\w+)", read("python.md")))
    assert not (methods | set(charlm.__all__) - {"__version__"}) - used
