"""charlm from Python: the examples of docs/python.md print what it shows, and a typed script passes mypy --strict."""

import doctest
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "python.md"
SCRIPT = """
from pathlib import Path

import charlm
import charlm.kenlm as kenlm
from charlm.events import Event, Step


def follow(event: Event) -> bool | None:
    return event.step < 5 if isinstance(event, Step) else None


def main() -> None:
    paths = [Path("a"), Path("b")]
    model: charlm.LanguageModel = charlm.train(paths, task="lines", minutes=1, on_event=follow, hidden_size=9)
    model = charlm.train([("one", "two")], validation=["a"], init_from=model, output=Path("m"))
    model = charlm.train("corpus.txt", validation=0.1, resume=True)
    bits: float = charlm.load(Path("m")).score("ab").bits_per_character
    tokens: list[tuple[str, float]] = model.next("a")
    reveal_type(model.state("ab").hidden)
    reveal_type(model.info)
    model.save("copy", replace=True)
    prob: float = kenlm.Model("m").score("a b", bos=True, eos=False)
    for log10, length, oov in kenlm.Model("m").full_scores("a b"):
        print(bits + prob + log10 + length, oov, tokens)
    charlm.train(3)
    charlm.load("m").score(5)
"""

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("one_thread")
def test_every_example_of_the_page_prints_what_it_shows(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "corpora", tmp_path / "corpora")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    examples, report = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, PAGE.name, str(PAGE), 0), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples, out=report.append)
    assert done.failed == 0, "".join(report)
    assert done.attempted > 40


def test_a_typed_script_passes_mypy_strict_but_for_its_two_errors(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    # torch is in no signature; skipping it makes the check several times faster.
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-torch.*]\nfollow_imports = skip\n")
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", "script.py"],
                          cwd=tmp_path, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "MYPYPATH": str(ROOT)})
    found = re.findall(r"^script.py:\d+: (error|note): (.*?)(?:; expected.*)?$", done.stdout, re.MULTILINE)
    assert len(found) == 4, done.stdout
    assert [kind for kind, _ in found] == ["note", "note", "error", "error"], done.stdout
    assert "numpy.floating" in found[0][1] and re.search(r"dict\[.*str, Any\]", found[1][1])
    assert '"train"' in found[2][1] and '"score"' in found[3][1]
