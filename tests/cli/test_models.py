"""The model that a command uses, and the models that it refuses."""

import os
import shutil

import pytest

from charlm.cli.models import find_model, load_model
from charlm.errors import ModelFileError, UsageError
from charlm.model import load
from charlm.modelfile import peek
from tests.helpers.runners import error_line, run_in_process


@pytest.fixture
def folder(model, lines_model, labels_model, pairs_model, fill_model):
    """Return a function that puts models, the oldest first, into the working directory: name=kind."""
    kinds = {"text": model, "lines": lines_model, "labels": labels_model, "pairs": pairs_model, "fill": fill_model}

    def fill(**given):
        for age, (name, kind) in enumerate(given.items()):
            shutil.copy(kinds[kind], f"{name}.charlm")
            os.utime(f"{name}.charlm", (1e9 + age, 1e9 + age))
    return fill


def test_the_newest_model_that_the_verb_takes_is_used(folder):
    folder(a="lines", b="labels", c="text", d="pairs", e="fill")
    newest = {"classify": "b.charlm", "score": "c.charlm", "translate": "d.charlm", "fill": "e.charlm", "": "e.charlm"}
    assert {verb: find_model(None, verb) for verb in newest} == newest


def test_classify_skips_newer_models_of_lines_without_labels(folder):
    folder(a="labels", b="labels", c="lines", d="pairs")
    assert find_model(None, "classify") == "b.charlm"
    assert find_model(None, "score") == "c.charlm"


def test_a_model_of_pairs_scores_if_no_model_of_lines_or_text_is_there(folder):
    folder(a="pairs", b="pairs", c="fill")
    assert [find_model(None, verb) for verb in ("score", "filter", "classify")] == ["b.charlm"] * 3


def test_a_contrast_is_never_the_model_however_its_path_is_written(folder, tmp_path):
    folder(own="lines", general="text")
    (tmp_path / "link").symlink_to("general.charlm")
    for contrast in ("general.charlm", "./general.charlm", tmp_path / "general.charlm", "link"):
        assert find_model(None, "filter", besides=str(contrast)) == "own.charlm"
    assert find_model(None, "filter", besides="elsewhere/general.charlm") == "general.charlm"


def test_a_contrast_as_the_only_model_leaves_no_model(folder):
    folder(general="text")
    done = run_in_process("filter", "--max-bpc", 1, "--contrast", "general.charlm", stdin=b"a\n")
    assert "no model here" in error_line(done, 2)


def test_if_no_model_is_of_the_task_the_newest_is_refused_by_its_task(folder):
    folder(a="fill", b="text")
    done = run_in_process("classify", stdin=b"a\n")
    assert done.code == 3
    using, error = done.stderr.splitlines()
    assert using == "charlm: using b.charlm" and "b.charlm is a text model" in error


@pytest.mark.parametrize("verb, flags, chosen", [
    ("score", [], "c"), ("filter", ["--quiet", "--max-bpc", 99], "c"),
    ("filter", ["--quiet", "--max-bpc", 99, "--contrast", "c.charlm"], "b"),
    ("classify", [], "a"), ("tokenize", [], "d"), ("detokenize", [], "d"), ("sample", ["--seed", 1, "-n", 2], "c")])
def test_every_verb_finds_its_model_and_prints_its_name_on_stderr(folder, verb, flags, chosen):
    folder(a="labels", b="lines", c="text", d="pairs")
    done = run_in_process(verb, *flags)
    assert (done.code, done.stderr) == (0, f"charlm: using {chosen}.charlm\n")


def test_a_named_model_is_used_whatever_models_are_here(folder, lines_model):
    folder(a="text")
    assert run_in_process("score", "-m", lines_model).stderr == ""
    assert run_in_process("score", env={"CHARLM_MODEL": str(lines_model)}).stderr == ""


def test_files_that_are_not_models_are_skipped(folder, tmp_path):
    folder(a="lines")
    (tmp_path / "text.charlm").write_text("Once upon a time\n" * 99)
    (tmp_path / "empty.charlm").touch()
    (tmp_path / "folder.charlm").mkdir()
    assert find_model(None, "score") == "a.charlm"


def test_peek_returns_the_task_of_a_file_or_none(lines_model, labels_model, model, verses):
    assert [peek(str(path)).name for path in (labels_model, lines_model, model)] == ["labels", "lines", "text"]
    assert peek(str(verses)) is None


def test_a_named_model_without_labels_is_refused_if_labels_are_needed(lines_model, labels_model):
    assert load_model(str(labels_model), "classify").labels == ("Español", "Icelandic", "Irish")
    with pytest.raises(ModelFileError, match="is a lines model; it works with charlm sample, score"):
        load_model(str(lines_model), "classify")


def test_the_state_is_never_carried_across_a_model_of_lines(lines_model):
    with pytest.raises(UsageError, match="carry"):
        load(str(lines_model)).scorer(carry=True)


@pytest.mark.parametrize("verb, flags", [("score", []), ("filter", ["--max-bpc", "1"]), ("classify", [])])
def test_a_missing_gpu_is_a_usage_error(labels_model, verb, flags, monkeypatch):
    import torch
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = run_in_process(verb, "-m", labels_model, *flags, "--device", "cuda", stdin=b"a\n")
    assert "--device cuda" in error_line(done, 2)
