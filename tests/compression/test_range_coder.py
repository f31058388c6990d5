"""The range coder: what is encoded is decoded, in as few bytes as the symbols' probabilities need."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.compression.range_coder import RangeDecoder, RangeEncoder

TOTAL = 1 << 28
PARTS = st.tuples(st.integers(0, TOTAL - 1), st.integers(1, TOTAL)).map(lambda part: (part[0], min(
    part[1], TOTAL - part[0])))


def encode(parts):
    coder = RangeEncoder()
    for start, size in parts:
        coder.encode(start, size, TOTAL)
    return coder.finish()


def assert_decodes(parts, code):
    coder = RangeDecoder(code)
    for start, size in parts:
        assert start <= coder.target(TOTAL) < start + size
        coder.consume(start, size, TOTAL)


@settings(max_examples=100, deadline=None)
@given(st.lists(PARTS, max_size=60))
def test_every_symbol_is_decoded(parts):
    assert_decodes(parts, encode(parts))


def test_a_carry_runs_through_all_bytes_before_it(monkeypatch):
    carries, carry = [], RangeEncoder._carry

    def watched(coder):
        carries.append(len(coder._out) - len(coder._out.rstrip(b"\xff")))
        carry(coder)

    monkeypatch.setattr(RangeEncoder, "_carry", watched)
    # Just below one half, again and again, until a last symbol goes beyond it.
    parts = [(TOTAL // 2 - 1, 2)]
    coder = RangeEncoder()
    coder.encode(*parts[0], TOTAL)
    for _ in range(40):
        middle = ((1 << 63) - 1 if not coder._out else (1 << 64) - 1) - coder._low
        target = min(max(middle // (coder._range // TOTAL), 0), TOTAL - 2)
        parts.append((target, 2))
        coder.encode(*parts[-1], TOTAL)
    parts.append((TOTAL - 1, 1))
    assert_decodes(parts, encode(parts))
    assert max(carries) >= 8


@pytest.mark.parametrize("seed", range(3))
def test_the_code_is_as_long_as_the_information(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 1 << 26, 3000).tolist()
    parts = [(int(rng.integers(0, TOTAL - size)), size) for size in sizes]
    bits = sum(math.log2(TOTAL / size) for size in sizes)
    assert bits <= 8 * len(encode(parts)) < bits + 17


def test_the_total_may_change_and_the_end_is_short():
    coder = RangeEncoder()
    for total in range(1, 300):
        coder.encode(total - 1, 1, total)
    decoder = RangeDecoder(coder.finish())
    for total in range(1, 300):
        assert decoder.target(total) == total - 1
        decoder.consume(total - 1, 1, total)
    assert RangeEncoder().finish() == b""
