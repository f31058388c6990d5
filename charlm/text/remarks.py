"""Remarks on a corpus for its user: a held-out text that is learned, blank lines, duplicates.

A remark is one line, or an empty string where there is nothing to say.
"""

from __future__ import annotations

import numpy as np

from charlm.text.line_hashes import line_hash
from charlm.text.rolling_hashes import Hashes, HashSet, chunk_hashes
from charlm.text.spool import LineSpool, Spool
from charlm.text.tsv import TAB

MIN_SHARE = 0.01                        # of the held-out part, from which sharing it is worth a remark
STRETCH = 100                           # characters: longer than phrases that a genre repeats
MIN_STRETCH = 20                        # in a held-out text shorter than STRETCH
MAX_STRETCHES = 1000


def overlap_remark(share: float, what: str) -> str:
    """Return a warning if this share of the held-out part (its `what`) is in the training text, too."""
    if share < MIN_SHARE:
        return ""
    amount = "all" if share == 1 else f"{100 * share:.2g} %"
    return (f"{amount} of the held-out {what} {'is' if what == 'text' else 'are'} in the training text, too, so the "
            "held-out loss says little about new text; name another --validation, or leave it out to hold out a part")


def shared_lines(train: LineSpool, held_out: LineSpool) -> float:
    """Return the share of held-out lines whose key field is in the training text."""
    return float(np.isin(held_out.hashes, train.hashes).mean())


def shared_text(train: Spool, held_out: Spool) -> float:
    """Return the share of evenly spaced stretches of a held-out text that occur in the training text."""
    if train.digest == held_out.digest:
        return 1.0
    size = min(STRETCH, held_out.characters)
    if size < MIN_STRETCH:
        return 0.0
    wanted = _spaced(held_out, size)
    known = HashSet(wanted)
    found = [np.unique(hashes[known.contains(hashes)]) for hashes in chunk_hashes(train, size)]
    return float(np.isin(wanted, np.concatenate([*found, wanted[:0]])).mean())


def _spaced(text: Spool, size: int) -> Hashes:
    """Return the hashes of at most MAX_STRETCHES stretches that do not overlap."""
    stride = size * -(-text.characters // (size * MAX_STRETCHES))
    found, at = [], 0
    for hashes in chunk_hashes(text, size):
        found.append(hashes[-at % stride::stride])
        at += len(hashes)
    return np.concatenate(found)


def blank_remark(lines: int, blank: int) -> str:
    """Return that blank lines are left out, if there are any."""
    return f"{blank:,} of {lines:,} lines are blank and are left out; --keep-blank keeps them" if blank else ""


def duplicate_remark(lines: LineSpool) -> str:
    """Return how many lines repeat an earlier one exactly, if these are more than half."""
    different = len(np.unique(lines.hashes))            # no more than there are different lines
    if different * 2 < len(lines) and lines.labelled:
        different = len(np.unique(np.fromiter((line_hash(TAB.join(line)) for line in lines), np.uint64)))
    repeated = len(lines) - different
    if repeated * 2 <= len(lines):
        return ""
    return f"{repeated:,} of {len(lines):,} lines repeat an earlier one exactly; to learn each of them once: sort -u"
