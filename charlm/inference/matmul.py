"""Matrix products whose rows have the same bits in any batch, and the plain product, which is faster.

BLAS may sum in a different order for different numbers of rows. Sampling must not depend on the batch size, so it uses
`matmul_by_row` for few rows and `matmul_in_blocks` for many.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from charlm.contract import FloatArray

BLOCK_SIZES = (64, 32, 16, 8, 4, 2)     # rows
_TRIED = 4

Matmul = Callable[[FloatArray, FloatArray], FloatArray]


def matmul(x: FloatArray, matrix: FloatArray) -> FloatArray:
    """Return x @ matrix for x (..., K) in one product; the bits of a row depend on the batch, within about 1e-6."""
    return x @ matrix


def matmul_by_row(x: FloatArray, matrix: FloatArray) -> FloatArray:
    """Return x @ matrix for x (B, K), each row multiplied separately, so that its bits do not depend on the batch."""
    return x @ matrix if len(x) == 1 else np.matmul(x[:, None], matrix)[:, 0]


def matmul_in_blocks(x: FloatArray, matrix: FloatArray) -> FloatArray:
    """Return x @ matrix for x (B, K) in zero-padded blocks of rows: reproducible as `matmul_by_row` is, but faster."""
    size = _block_size(*matrix.shape)
    blocks = -(-len(x) // size)
    padded = np.ascontiguousarray(x)
    if len(x) < blocks * size:
        padded = np.zeros((blocks * size, x.shape[1]), x.dtype)
        padded[:len(x)] = x
    product: FloatArray = np.matmul(padded.reshape(blocks, size, x.shape[1]), matrix)
    return product.reshape(blocks * size, matrix.shape[1])[:len(x)]


@functools.cache
def _block_size(inner: int, outer: int) -> int:
    """Return the most rows in a block for which BLAS gives equal rows equal bits, with an (inner, outer) matrix.

    Its kernels take rows in groups, and some groups sum in a different order than others. Which ones do depends on the
    processor, so block sizes are tried on random rows.
    """
    rng = np.random.default_rng(0)
    matrix, rows = (rng.standard_normal(size, np.float32) for size in ((inner, outer), (_TRIED, inner)))
    for size in BLOCK_SIZES:
        products = np.stack([np.tile(row, (size, 1)) @ matrix for row in rows])         # (_TRIED, size, outer)
        if (products == products[:, :1]).all():
            return size
    return 1
