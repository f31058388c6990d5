"""`charlm view --gradients`: columns for each model, for text and lines."""

import pytest

from tests.helpers.runners import error_line, run_in_process


@pytest.fixture
def gradients(text_file):
    """Return a function from models and flags to the result for a text of bottles."""
    text = text_file("bottles.txt", "one green bottle\n" * 40)
    return lambda *models, **more: run_in_process("view", "--gradients", text, *models, **more)


def test_every_model_has_its_norms_step_by_step(gradients, model, lines_model):
    rows = [line.split("\t") for line in gradients(model, lines_model).check().text.splitlines()]
    assert rows[0] == ["model", "steps_before", "gradient_norm"]
    assert [(row[0], int(row[1])) for row in rows[1:]] == [(str(path), step) for path in (model, lines_model)
                                                         for step in range(1, 201)]
    assert all(float(row[2]) > 0 for row in rows[1:201])


def test_labelled_lines_and_short_texts_work_with_fewer_steps(labels_model):
    result = run_in_process("view", "--gradients", "-m", labels_model, "--jsonl", stdin=b"Irish\tO'Ban\n")
    assert len(result.check().records[0]["norms"]) == 6         # a label, five letters, the end
    refused = run_in_process("view", "--gradients", "-m", labels_model, stdin=b"")
    assert "too short" in error_line(refused, 4)


def test_gradients_exclude_other_views(gradients, model):
    assert "not both" in error_line(gradients(model, "--curves"), 2)
    assert "not both" in error_line(gradients(model, "--top", 3), 2)
