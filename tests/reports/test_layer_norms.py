"""Gradient norms of layers: lines below the plots, columns of the table."""

import pytest

from charlm.history import Recorder
from charlm.reports.curves import COLUMNS, Run, table
from charlm.reports.layer_norms import norm_lines


def history_of(steps, layers=("embedding", "decoder 1", "head")):
    """Return the history of a run whose first layer has a vanishing gradient, a power of ten a step."""
    recorder = Recorder()
    for step in range(1, steps + 1):
        norms = {name: 10.0 ** (1 - step) if name == layers[0] else 1.0 for name in layers}
        recorder.add_update(step, loss=1.0, gradient_norm=1.0, learning_rate=0.1, seconds=step, layer_norms=norms)
    return recorder.history()


def test_layers_are_lines_on_one_logarithmic_scale():
    title, first, second, third = norm_lines("a.charlm", history_of(8), width=80, unicode=True).splitlines()
    assert title == "a.charlm: norm of the gradient in each layer, logarithmic"
    assert first == "  embedding  █▇▆▅▄▃▂▁  1 → 1e-07"
    assert second == "  decoder 1  ████████  1 → 1" and third.startswith("  head       ████████")


@pytest.mark.parametrize("width", [1, 40, 200])
def test_lines_fit_into_any_width_and_into_ascii(width):
    shown = norm_lines("a", history_of(500), width=width, unicode=False)
    assert shown.isascii() and max(map(len, shown.splitlines()[1:])) <= max(width, 40)


def test_a_run_without_norms_has_no_lines():
    assert norm_lines("a", Recorder().history(), width=80, unicode=True) == ""


def test_a_table_has_a_column_for_each_layer_of_any_run():
    runs = [Run("a", history_of(3)), Run("b", history_of(2, ("head", "source embedding"))), Run("c", history_of(1, ()))]
    names, *lines = (line.rstrip("\n").split("\t") for line in table(runs))
    assert names == [*COLUMNS, *(f"gradient_norm_{layer}" for layer in ("embedding", "decoder_1", "head",
                                                                         "source_embedding"))]
    assert [line[len(COLUMNS):] for line in lines] == [
        ["1", "1", "1", ""], ["0.1", "1", "1", ""], ["0.01", "1", "1", ""],
        ["", "", "1", "1"], ["", "", "0.1", "1"], ["", "", "", ""]]
