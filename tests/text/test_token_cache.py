"""Token caches: ids are read as they were written, as slices and as an endless ring."""

import functools
import itertools
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import StorageError
from charlm.text import token_cache
from charlm.text.token_cache import TokenCache, smallest_dtype


def cache_of(ids, vocabulary_size=100):
    return TokenCache([np.array(ids, np.int32)], vocabulary_size=vocabulary_size)


@pytest.mark.parametrize("size, dtype", [(1, "u1"), (2, "u1"), (256, "u1"), (257, "u2"), (65_536, "u2"),
                                         (65_537, "u4"), (0x110000 + 8, "u4")])
def test_smallest_dtype_holds_every_id(size, dtype):
    assert smallest_dtype(size) == np.dtype(dtype)


@pytest.mark.parametrize("size", [1, 256, 257, 65_536, 65_537, 0x110008])
def test_largest_id_is_kept(size):
    assert cache_of([0, size - 1, 0], size).slice(0, 3).tolist() == [0, size - 1, 0]


def test_pieces_are_joined():
    pieces = [np.array(ids, np.int32) for ids in ([1, 2], [], [3], [4, 5, 6])]
    cache = TokenCache(pieces, vocabulary_size=10)
    assert len(cache) == 6
    assert cache.slice(0, 6).tolist() == [1, 2, 3, 4, 5, 6]


def test_cache_can_be_empty():
    assert len(TokenCache([], vocabulary_size=5)) == 0
    assert len(cache_of([])) == 0


def test_slice_is_a_copy_of_int64():
    cache = cache_of([5, 6, 7, 8])
    part = cache.slice(1, 3)
    assert part.dtype == np.int64
    part[:] = 0
    assert cache.slice(0, 4).tolist() == [5, 6, 7, 8]


def test_slice_stops_at_the_end():
    assert cache_of([5, 6, 7]).slice(2, 9).tolist() == [7]


def test_ring_reads_every_lane_from_its_start():
    rows = cache_of([10, 11, 12, 13, 14]).ring(np.array([0, 2]), 3)
    assert rows.dtype == np.int64
    assert rows.tolist() == [[10, 11, 12], [12, 13, 14]]


def test_ring_continues_at_the_start_after_the_end():
    rows = cache_of([10, 11, 12, 13, 14]).ring(np.array([3, 4]), 4)
    assert rows.tolist() == [[13, 14, 10, 11], [14, 10, 11, 12]]


def test_ring_repeats_a_text_shorter_than_a_lane():
    assert cache_of([1, 2, 3]).ring(np.array([1]), 10).tolist() == [[2, 3, 1, 2, 3, 1, 2, 3, 1, 2]]


def test_ring_of_one_token_repeats_it():
    assert cache_of([7]).ring(np.array([0, 5]), 3).tolist() == [[7, 7, 7], [7, 7, 7]]


def test_starts_beyond_the_end_wrap_around():
    cache = cache_of([1, 2, 3])
    assert cache.ring(np.array([3, 4, 3_000_000_002]), 2).tolist() == [[1, 2], [2, 3], [3, 1]]


def test_ring_does_not_change_its_starts():
    starts = np.array([7, 8])
    cache_of([1, 2, 3]).ring(starts, 2)
    assert starts.tolist() == [7, 8]


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, 999), min_size=1, max_size=20),
       starts=st.lists(st.integers(0, 100), min_size=1, max_size=4), length=st.integers(1, 50))
def test_ring_is_a_slice_of_endless_repetition(ids, starts, length):
    rows = cache_of(ids, 1000).ring(np.array(starts), length)
    for start, row in zip(starts, rows, strict=True):
        assert row.tolist() == list(itertools.islice(itertools.cycle(ids), start, start + length))


def test_released_pages_can_be_read_again(monkeypatch):
    monkeypatch.setattr(token_cache, "RELEASE_EVERY", 1)         # after every read
    ids = np.arange(100_000) % 251
    cache = cache_of(ids, 256)
    for start in range(0, 100_000, 10_000):
        assert (cache.slice(start, start + 10_000) == ids[start:start + 10_000]).all()
    assert (cache.ring(np.array([99_990]), 20)[0] == np.roll(ids, 10)[:20]).all()


def resident_file_pages():
    """Return the bytes of mapped files that count as this process's memory."""
    with open("/proc/self/status") as status:
        return next((int(line.split()[1]) << 10 for line in status if line.startswith("RssFile")), None)


def test_reading_a_large_cache_keeps_memory_constant():
    try:
        before = resident_file_pages()
    except OSError:
        before = None
    if before is None:
        pytest.skip("needs /proc/self/status with RssFile")
    piece = np.zeros(1 << 20, np.uint8)
    cache = TokenCache((piece for _ in range(48)), vocabulary_size=2)       # 48 MiB
    peak = 0
    for start in range(0, len(cache), 1 << 20):
        cache.slice(start, start + (1 << 20))
        peak = max(peak, resident_file_pages() - before)
    assert peak < 24 << 20


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("length", [1_000_000, 10])
def test_full_disk_is_a_storage_error(monkeypatch, length):
    monkeypatch.setattr(token_cache, "anonymous_file", functools.partial(open, "/dev/full", "r+b"))
    with pytest.raises(StorageError, match="TMPDIR"):
        cache_of([1] * length)


def test_two_caches_share_a_file(tmp_path):
    with open(tmp_path / "tokens", "w+b") as file:
        file.write(b"odd")
        one, other = (TokenCache([np.array(ids)], vocabulary_size=size, file=file)
                      for ids, size in (([1, 2, 3], 9), ([70_000, 4], 70_001)))
        assert (one.slice(0, 9).tolist(), other.slice(0, 9).tolist()) == ([1, 2, 3], [70_000, 4])
        assert one.offset % 8 == other.offset % 8 == 0
        again = TokenCache.from_file(file, other.offset, len(other), other.dtype)
        assert again.slice(0, 9).tolist() == [70_000, 4] and again.checksum == other.checksum != one.checksum


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("ids", [[], [3, 1, 2]])
def test_a_pickled_cache_maps_the_same_file(ids):
    cache = cache_of(ids)
    pickled = pickle.dumps(cache)
    assert len(pickled) < 500
    copy = pickle.loads(pickled)
    assert copy.slice(0, 9).tolist() == ids and len(copy) == len(ids)
    assert os.path.sameopenfile(copy._file.fileno(), cache._file.fileno())
