"""Products of rows that do not depend on the rows beside them."""

import numpy as np
import pytest

from charlm.inference.matmul import BLOCK_SIZES as BLOCKS, matmul, matmul_by_row, matmul_in_blocks

BLOCK = max(BLOCKS)
DRAW = np.random.default_rng(1)
X = DRAW.standard_normal((3 * BLOCK + 7, 96)).astype(np.float32)
MATRIX = DRAW.standard_normal((96, 50)).astype(np.float32)


@pytest.mark.parametrize("rows", [0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, len(X)])
@pytest.mark.parametrize("product", [matmul_in_blocks, matmul_by_row, matmul])
def test_every_product_is_the_matrix_product(product, rows):
    expected = X[:rows].astype(np.float64) @ MATRIX.astype(np.float64)
    found = product(X[:rows], MATRIX)
    assert found.shape == expected.shape and found.dtype == np.float32
    assert np.abs(found - expected).max(initial=0) < 1e-5 * np.abs(expected).max(initial=1)


@pytest.mark.parametrize("size", [(96, 50), (33, 17), (128, 512), (256, 1024)])
def test_the_bits_of_a_row_in_blocks_depend_on_no_other_row(size):
    x = DRAW.standard_normal((2 * BLOCK + 5, size[0])).astype(np.float32)
    matrix = DRAW.standard_normal(size).astype(np.float32)
    whole = matmul_in_blocks(x, matrix)
    for rows in ([0], [BLOCK + 3], range(40, 50), range(1, 2 * BLOCK), DRAW.permutation(len(x)), [7] * 70):
        some = np.array(rows)
        assert np.array_equal(matmul_in_blocks(x[some], matrix), whole[some])


def test_rows_of_a_transposed_or_strided_array_are_the_same_rows():
    whole = matmul_in_blocks(X, MATRIX)
    for rows in (len(X), BLOCK):
        assert np.array_equal(matmul_in_blocks(np.asfortranarray(X[:rows]), MATRIX), whole[:rows])
    assert np.array_equal(matmul_in_blocks(X[::3], MATRIX), whole[::3])


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_network_in_blocks_steps_a_row_to_the_same_bits_whatever_stands_beside_it(random_network, cell):
    network = random_network(13, cell=cell, matmul=matmul_in_blocks, hidden_size=40)
    plain = random_network(13, cell=cell, hidden_size=40)
    tokens = DRAW.integers(13, size=(BLOCK + 9, 4))

    def logits(network, rows):
        state = network.start(len(rows))
        for time in range(tokens.shape[1]):
            out, state = network.step(tokens[rows, time:time + 1], state)
        return out[:, 0]

    together = logits(network, np.arange(len(tokens)))
    for rows in ([5], [BLOCK + 2, 1], range(30, 60)):
        assert np.array_equal(logits(network, np.array(rows)), together[rows])
    assert np.allclose(together, logits(plain, np.arange(len(tokens))), atol=1e-5)
