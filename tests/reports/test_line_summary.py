"""Summaries of lines: the same figures as a picture, as rows and as fields."""

import json
import math
import re

import numpy as np
import pytest

from charlm.distribution import Distribution, Quantiles, quantiles_of
from charlm.reports.line_summary import PERCENTS, LineSummary


def summary_of(rates, held_out=None, blank=0):
    """Return the summary of lines of these rates, beside held-out ones."""
    counted = Distribution()
    counted.add(np.asarray(rates, np.float64))
    return LineSummary(counted, blank, None if held_out is None else Quantiles(quantiles_of(np.asarray(held_out))))


@pytest.fixture
def summary():
    """A summary of lines that are stranger than the held-out ones."""
    return summary_of(np.linspace(2, 5, 301), np.linspace(1, 3, 201), blank=7)


def test_the_threshold_is_the_held_out_lines_highest_percentile(summary):
    assert summary.threshold == pytest.approx(2.98, abs=0.005) and summary.above == pytest.approx(2 / 3, abs=0.01)
    assert "2.981 bits per character are exceeded by at most 1 % of held-out lines" in summary.advice()
    assert "--max-bpc 2.981` leaves out 67.11 % of the lines" in summary.advice()


def test_lines_that_tie_with_the_threshold_pass_as_they_do_in_filter():
    rates = np.array([2.0] * 180 + [6.8273] * 19 + [8.0])
    alone = summary_of(rates)
    assert alone.above == pytest.approx((rates > alone.threshold).mean()) == pytest.approx(0.005)


def test_without_held_out_lines_the_threshold_is_that_of_the_text():
    alone = summary_of(np.linspace(2, 5, 301))
    assert alone.threshold == pytest.approx(4.97, abs=0.005) and "no record of its held-out lines" in alone.advice()
    assert alone.fields()["held_out_quantiles"] is None and {row[2] for row in alone.rows()} == {""}
    assert "held out" not in alone.picture()


def test_the_bins_of_the_histogram_hold_every_line_once(summary):
    bins = list(summary.bins())
    assert len(bins) <= 24 and [high for _, high in bins[:-1]] == [low for low, _ in bins[1:]]
    for distribution in (summary.text, summary.held_out):
        assert sum(distribution.share(low, high) for low, high in bins) == pytest.approx(1)
    assert bins[0][0] == 1 and bins[-1][1] == math.inf


def test_rows_and_fields_hold_the_same_figures(summary):
    fields, rows = json.loads(json.dumps(summary.fields())), {name: values for name, *values in summary.rows()}
    assert (int(rows["lines"][0]), int(rows["blank"][0])) == (fields["lines"], fields["blank"]) == (301, 7)
    for percent in map(str, PERCENTS):
        assert float(rows[f"{percent}%"][0]) == fields["quantiles"][percent]
        assert float(rows[f"{percent}%"][1]) == fields["held_out_quantiles"][percent]
    shares = [[float(value) for value in values] for name, values in rows.items() if "-" in name or ">" in name]
    assert shares == [[bin["share"], bin["held_out_share"]] for bin in fields["histogram"]]
    assert float(rows["threshold"][0]) == fields["threshold"]


def test_the_longest_bar_is_that_of_the_largest_share(summary):
    bars = [line for line in summary.picture().splitlines() if "█" in line]
    assert max(line.count("█") for line in bars) > 20
    assert re.search("2-2.25 +8.31 %", summary.picture()) and "301 lines, 7 blank ones left out" in summary.picture()


def test_no_lines_have_counts_only():
    empty = summary_of([], np.linspace(1, 3, 201), blank=2)
    assert list(empty.rows()) == [("lines", "0", ""), ("blank", "2", "")] and empty.advice() == ""
    assert json.loads(json.dumps(empty.fields()))["threshold"] is None
    assert empty.picture() == "0 lines, 2 blank ones left out\n"
