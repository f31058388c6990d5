"""A summary of many lines: quantiles and a histogram of their bits per character beside those of held-out lines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from charlm.distribution import BIN, Distribution, Quantiles

PERCENTS = (0, 1, 5, 25, 50, 75, 95, 99, 100)
USUAL = 0.99                            # share of held-out lines below the suggested threshold
COLUMNS = ("figure", "text", "held_out")
_MAX_BINS = 24
_BAR = 24                               # length of the longest bar in characters
_NARROWEST = 1 / 16                     # minimum width of a bin in bits per character
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class LineSummary:
    """The lines of a text and, if the model file has a record of them, the held-out lines of its training."""

    text: Distribution
    blank: int                          # lines of white space only, which are not counted
    held_out: Quantiles | None = None

    @property
    def threshold(self) -> float | None:
        """The USUAL quantile of the held-out lines' bits per character or, if unknown, of this text's.

        It is rounded up past its bin, so that lines tied with the quantile pass here as they do in `filter`.
        """
        if not self.text.count:
            return None
        edge = math.ceil((self.held_out or self.text).quantile(USUAL) / BIN) * BIN
        return math.ceil(1000 * edge) / 1000

    @property
    def above(self) -> float:
        """The share of the text's lines above the threshold."""
        return 0.0 if self.threshold is None else self.text.share(self.threshold, math.inf)

    def advice(self) -> str:
        """Return the origin and the use of the threshold in one sentence; empty if there are no lines."""
        if self.threshold is None:
            return ""
        whose = "held-out lines" if self.held_out else "these lines (the model file has no record of its held-out " \
            "lines, as after an interrupted run)"
        return (f"{self.threshold:.3f} bits per character are exceeded by at most 1 % of {whose}: "
                f"`charlm filter --max-bpc {self.threshold:.3f}` leaves out {100 * self.above:.2f} % of the lines "
                f"here, --min-bpc {self.threshold:.3f} keeps only those")

    def bins(self) -> Iterator[tuple[float, float]]:
        """Yield the bounds of the histogram's bins, the last one open."""
        if not self.text.count:
            return
        both: list[Distribution | Quantiles] = [self.text, *([self.held_out] if self.held_out else [])]
        low, high = min(one.quantile(0) for one in both), max(one.quantile(USUAL) for one in both)
        width = _NARROWEST
        while (high - low) / width > _MAX_BINS - 2:
            width *= 2
        start, stop = math.floor(low / width), math.floor(high / width) + 1
        yield from ((at * width, (at + 1) * width) for at in range(start, stop))
        yield stop * width, math.inf

    def fields(self) -> dict[str, Any]:
        """Return the summary as the fields of a JSON record."""
        known, held_out = self.text.count > 0, self.held_out
        return {"lines": self.text.count, "blank": self.blank, "mean": round(self.text.mean, 6) if known else None,
                "quantiles": {str(percent): round(self.text.quantile(percent / 100), 4) for percent in PERCENTS
                              if known},
                "held_out_quantiles": {str(percent): round(held_out.quantile(percent / 100), 4)
                                       for percent in PERCENTS} if held_out else None,
                "histogram": [{"from": low, "to": high if math.isfinite(high) else None,
                               "share": round(self.text.share(low, high), 6),
                               "held_out_share": round(held_out.share(low, high), 6) if held_out else None}
                              for low, high in self.bins()],
                "threshold": None if self.threshold is None else round(self.threshold, 4),
                "above_threshold": round(self.above, 6)}

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield the summary as rows of COLUMNS: counts, bits per character, shares of each bin, and the threshold."""
        yield "lines", str(self.text.count), ""
        yield "blank", str(self.blank), ""
        if self.threshold is None:
            return
        yield "mean", f"{self.text.mean:.4f}", ""
        for percent in PERCENTS:
            yield f"{percent}%", *self._both("{:.4f}", "quantile", percent / 100)
        for low, high in self.bins():
            yield bin_name(low, high), *self._both("{:.6f}", "share", low, high)
        yield "threshold", f"{self.threshold:.4f}", ""
        yield "above_threshold", f"{self.above:.6f}", f"{1 - USUAL:.6f}" if self.held_out else ""

    def _both(self, form: str, name: str, *arguments: float) -> tuple[str, str]:
        """Return a figure for the text and for the held-out lines."""
        return form.format(getattr(self.text, name)(*arguments)), \
            form.format(getattr(self.held_out, name)(*arguments)) if self.held_out else ""

    def picture(self) -> str:
        """Return the summary for a terminal: quantiles, then bars."""
        lines = [f"{self.text.count:,} lines" + (f", {self.blank:,} blank ones left out" if self.blank else "")]
        if self.threshold is None:
            return lines[0] + "\n"
        lines += [f"mean {self.text.mean:.3f} bits per character", "", f"{'':>8}{'this text':>12}"
                  + (f"{'held out':>12}" if self.held_out else "")]
        for percent in PERCENTS:
            here, there = self._both("{:.3f}", "quantile", percent / 100)
            lines.append(f"{percent:>6} %{here:>12}{there:>12}".rstrip())
        return "\n".join([*lines, "", *self._bars()]) + "\n"

    def _bars(self) -> Iterator[str]:
        shares = [(bin_name(low, high), self.text.share(low, high),
                   self.held_out.share(low, high) if self.held_out else 0.0) for low, high in self.bins()]
        highest = max(max(here, there) for _, here, there in shares) or 1.0
        width = max(len(name) for name, _, _ in shares)
        for name, here, there in shares:
            yield f"{name:>{width}}  {_cell(here, highest)}{_cell(there, highest) if self.held_out else ''}".rstrip()


def bin_name(low: float, high: float) -> str:
    """Return the name of a bin.

    >>> bin_name(1.25, 1.5), bin_name(4, math.inf)
    ('1.25-1.5', '>=4')
    """
    return f"{low:g}-{high:g}" if math.isfinite(high) else f">={low:g}"


def _cell(share: float, highest: float) -> str:
    """Return a share as a percentage and a bar.

    >>> _cell(0.125, 1.0).rstrip()
    ' 12.50 % ███'
    """
    eighths = round(8 * _BAR * share / highest)
    bar = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return f"{100 * share:6.2f} % {bar:<{_BAR}}  "
