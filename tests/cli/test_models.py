"""Which model a command uses, and which it refuses."""

import os
import shutil

import pytest

from charlm.cli.models import find_model, load_model, scorer_of
from charlm.errors import ModelFileError, UsageError
from charlm.modelfile import load, peek


@pytest.fixture
def folder(tmp_path, monkeypatch, model, lines_model, labels_model, pairs_model, fill_model):
    """The working directory: names and kinds of models are put into it, the oldest first."""
    kinds = {"stream": model, "lines": lines_model, "labels": labels_model, "pairs": pairs_model, "fill": fill_model}
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHARLM_MODEL", raising=False)

    def fill(**given):
        for age, (name, kind) in enumerate(given.items()):
            shutil.copy(kinds[kind], f"{name}.charlm")
            os.utime(f"{name}.charlm", (1e9 + age, 1e9 + age))
    return fill


def test_the_newest_model_of_the_task_is_used(folder):
    folder(a="lines", b="labels", c="stream", d="pairs", e="fill")
    chosen = {tasks: find_model(None, tasks) for tasks in (("lines",), ("stream",), ("pairs",), ("fill",), ("stream", "lines"), ())}
    assert chosen == {("lines",): "b.charlm", ("stream",): "c.charlm", ("pairs",): "d.charlm", ("fill",): "e.charlm",
                      ("stream", "lines"): "c.charlm", (): "e.charlm"}


def test_classify_passes_over_newer_models_of_lines_without_labels(folder):
    folder(a="labels", b="labels", c="lines", d="pairs")
    assert find_model(None, ("lines",), labelled=True) == "b.charlm"
    assert find_model(None, ("lines",)) == "c.charlm"


def test_a_contrast_is_never_the_model_itself_however_its_path_is_spelled(folder, tmp_path):
    folder(own="lines", general="stream")
    (tmp_path / "link").symlink_to("general.charlm")
    for token_spans in ("general.charlm", "./general.charlm", tmp_path / "general.charlm", "link"):
        assert find_model(None, ("stream", "lines"), besides=str(token_spans)) == "own.charlm"
    assert find_model(None, ("stream", "lines"), besides="elsewhere/general.charlm") == "general.charlm"


def test_a_contrast_alone_leaves_no_model(folder, piped, refusal):
    folder(general="stream")
    done = piped(b"a\n", "filter", "--max-bpc", 1, "--contrast", "general.charlm")
    assert done.returncode == 2
    assert "no model here" in refusal(done)


def test_where_none_is_of_the_task_the_newest_is_refused_with_what_it_is_for(folder, piped):
    folder(a="fill", b="stream")
    done = piped(b"a\n", "classify")
    assert done.returncode == 3
    using, error = done.stderr.decode().splitlines()
    assert using == "charlm: using b.charlm" and "b.charlm is a stream model" in error


@pytest.mark.parametrize("verb, flags, chosen", [
    ("score", [], "c"), ("filter", ["--max-bpc", 99], "c"), ("filter", ["--max-bpc", 99, "--contrast", "c.charlm"], "b"),
    ("classify", [], "a"), ("tokenize", [], "d"), ("detokenize", [], "d"), ("sample", ["--seed", 1, "-n", 2], "c")])
def test_every_verb_finds_its_model_and_names_it_on_stderr(folder, piped, verb, flags, chosen):
    folder(a="labels", b="lines", c="stream", d="pairs")
    done = piped(b"", verb, *flags)
    assert (done.returncode, done.stderr.decode()) == (0, f"charlm: using {chosen}.charlm\n")


def test_a_model_that_is_named_is_used_whatever_lies_here(folder, piped, monkeypatch, lines_model):
    folder(a="stream")
    assert piped(b"", "score", "-m", lines_model).stderr == b""
    monkeypatch.setenv("CHARLM_MODEL", str(lines_model))
    assert piped(b"", "score").stderr == b""


def test_what_is_no_model_is_passed_over(folder, tmp_path):
    folder(a="lines")
    (tmp_path / "text.charlm").write_text("Once upon a time\n" * 99)
    (tmp_path / "empty.charlm").touch()
    (tmp_path / "folder.charlm").mkdir()
    assert find_model(None, ("lines",)) == "a.charlm"


def test_a_file_says_whether_it_has_labels_before_it_is_read(lines_model, labels_model, model, verses):
    assert peek(str(labels_model)) == ("lines", True)
    assert (peek(str(lines_model)), peek(str(model)), peek(str(verses))) == (
        ("lines", False), ("stream", False), ("", False))


def test_labels_are_asked_for_of_a_model_that_is_named(lines_model, labels_model):
    assert load_model(str(labels_model), ("lines",), labelled=True).labels.names == ("Español", "Icelandic", "Irish")
    with pytest.raises(ModelFileError, match="model of lines without labels; it works with charlm sample, score"):
        load_model(str(lines_model), ("lines",), labelled=True)


def test_lines_are_never_carried_over(lines_model):
    with pytest.raises(UsageError, match="--carry"):
        scorer_of(load(str(lines_model)), carry=True)


@pytest.mark.parametrize("verb, flags", [("score", []), ("filter", ["--max-bpc", "1"]), ("classify", [])])
def test_a_gpu_that_is_not_there_is_wrong_usage(piped, refusal, labels_model, verb, flags, monkeypatch):
    import torch
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = piped(b"a\n", verb, "-m", labels_model, *flags, "--device", "cuda")
    assert done.returncode == 2
    assert "--device cuda" in refusal(done)
