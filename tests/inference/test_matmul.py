"""Matrix products whose rows do not depend on the batch."""

import numpy as np
import pytest

from charlm.inference.matmul import BLOCK_SIZES, matmul, matmul_by_row, matmul_in_blocks

BLOCK = max(BLOCK_SIZES)
RNG = np.random.default_rng(1)
X = RNG.standard_normal((3 * BLOCK + 7, 96)).astype(np.float32)
MATRIX = RNG.standard_normal((96, 50)).astype(np.float32)


@pytest.mark.parametrize("rows", [0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, len(X)])
@pytest.mark.parametrize("multiply", [matmul_in_blocks, matmul_by_row, matmul])
def test_products_are_the_matrix_product(multiply, rows):
    expected = X[:rows].astype(np.float64) @ MATRIX.astype(np.float64)
    found = multiply(X[:rows], MATRIX)
    assert found.shape == expected.shape and found.dtype == np.float32
    assert np.abs(found - expected).max(initial=0) < 1e-5 * np.abs(expected).max(initial=1)


@pytest.mark.parametrize("size", [(96, 50), (33, 17), (128, 512), (256, 1024)])
def test_bits_of_a_row_in_blocks_do_not_depend_on_other_rows(size):
    x = RNG.standard_normal((2 * BLOCK + 5, size[0])).astype(np.float32)
    matrix = RNG.standard_normal(size).astype(np.float32)
    whole = matmul_in_blocks(x, matrix)
    for rows in ([0], [BLOCK + 3], range(40, 50), range(1, 2 * BLOCK), RNG.permutation(len(x)), [7] * 70):
        selected = np.array(rows)
        assert np.array_equal(matmul_in_blocks(x[selected], matrix), whole[selected])


def test_bits_do_not_depend_on_the_memory_layout():
    whole = matmul_in_blocks(X, MATRIX)
    for rows in (len(X), BLOCK):
        assert np.array_equal(matmul_in_blocks(np.asfortranarray(X[:rows]), MATRIX), whole[:rows])
    assert np.array_equal(matmul_in_blocks(X[::3], MATRIX), whole[::3])


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_bits_of_a_network_in_blocks_do_not_depend_on_the_batch(random_network, cell):
    network = random_network(13, cell=cell, matmul=matmul_in_blocks, hidden_size=40)
    plain = random_network(13, cell=cell, hidden_size=40)
    tokens = RNG.integers(13, size=(BLOCK + 9, 4))

    def logits(network, rows):
        state = network.start(len(rows))
        for time in range(tokens.shape[1]):
            out, state = network.step(tokens[rows, time:time + 1], state)
        return out[:, 0]

    together = logits(network, np.arange(len(tokens)))
    for rows in ([5], [BLOCK + 2, 1], range(30, 60)):
        assert np.array_equal(logits(network, np.array(rows)), together[rows])
    assert np.allclose(together, logits(plain, np.arange(len(tokens))), atol=1e-5)
