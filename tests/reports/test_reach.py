"""The plot of gradients: one sign a model, a logarithmic scale, figures below."""

from charlm.reports.reach import plot_reach


def test_a_geometric_decay_is_a_straight_line_with_its_figures_below():
    norms = [[2.0 * 0.5 ** step for step in range(16)], [2.0] * 16]
    lines = plot_reach(["fast", "slow\x1b"], norms, width=30, unicode=False).splitlines()
    rows = [line[9:] for line in lines[:16]]
    assert rows[0] == "x" * 16 and [row.index("o") for row in rows[1:]] == [*range(1, 16)]
    assert lines[0].startswith("  2e+00 |") and "16 steps before the loss" in lines[17]
    assert "\x1b" not in "".join(lines) and lines[-2].split() == ["o", "fast", "2.0e+00", "1.2e-01", "3.9e-03"]


def test_one_step_and_vanished_gradients_are_drawn():
    assert "●" in plot_reach(["a"], [[1.0]], width=80)
    assert "0.0e+00" in plot_reach(["a"], [[1.0] + [0.0] * 9], width=80, colours=True)
