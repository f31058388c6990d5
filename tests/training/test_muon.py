"""Muon: singular values after orthogonalisation, gates kept separate, momentum and decay."""

import pytest
import torch

from charlm.training.muon import Muon, Orthogonaliser

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPES = [(4, 16), (8, 32), (16, 64)]                   # four times as wide as tall


def orthogonalise(blocks, dtype=torch.float32):
    orthogonaliser = Orthogonaliser(blocks.shape, blocks, dtype)
    orthogonaliser.blocks.copy_(blocks)
    return orthogonaliser()


def random_blocks(rows, columns, count=20):
    return torch.randn(count, rows, columns, generator=torch.Generator().manual_seed(rows + columns))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_singular_values_of_random_blocks_come_near_one(shape, transposed):
    # Two polynomials make a rough polar factor: 0.196 to 1.966 was observed over these shapes.
    values = torch.linalg.svdvals(orthogonalise(random_blocks(*(reversed(shape) if transposed else shape))))
    assert values.min() > 0.15 and values.max() < 2.05


@pytest.mark.parametrize("size", [8, 48])
def test_only_tiny_singular_values_of_square_blocks_stay_small(size):
    blocks = random_blocks(size, size)
    left, before, right = torch.linalg.svd(blocks / blocks.norm(dim=(1, 2), keepdim=True))
    after = (left.mT @ orthogonalise(blocks) @ right.mT).diagonal(dim1=1, dim2=2)
    large = before > 0.01
    assert large.any() and not large.all()
    assert after[large].min() > 0.15 and after.max() < 2.05
    assert (after > 10 * before)[~large].all()


@pytest.mark.parametrize("shape", [*SHAPES, (16, 16), (64, 16)])
def test_singular_vectors_are_preserved(shape):
    blocks = random_blocks(*shape)
    left, _, right = torch.linalg.svd(blocks, full_matrices=False)
    inner = left.mT @ orthogonalise(blocks) @ right.mT
    diagonal = inner.diagonal(dim1=1, dim2=2)
    assert (diagonal > 0).all()
    assert torch.allclose(inner, torch.diag_embed(diagonal), atol=1e-4)


@pytest.mark.parametrize("shape", [*SHAPES, (16, 16)])
def test_a_transposed_block_gives_the_transposed_result(shape):
    blocks = random_blocks(*shape)
    turned = orthogonalise(blocks.mT)
    assert turned.shape == blocks.mT.shape
    assert torch.allclose(turned.mT, orthogonalise(blocks), atol=1e-5)


def test_the_scale_of_a_block_does_not_matter():
    blocks = random_blocks(8, 32)
    assert torch.allclose(orthogonalise(1000 * blocks), orthogonalise(blocks), atol=1e-4)
    assert not orthogonalise(torch.zeros(1, 4, 4)).any()


def test_blocks_of_a_batch_are_independent():
    blocks = random_blocks(8, 32)
    assert torch.allclose(torch.cat([orthogonalise(block[None]) for block in blocks]), orthogonalise(blocks), atol=1e-5)


def stepped(matrices, gradients, **options):
    """Return the matrices after a step for each row of gradients, (steps, matrices)."""
    parameters = [torch.nn.Parameter(matrix.clone()) for matrix in matrices]
    optimizer = Muon(parameters, **options)
    for row in gradients:
        for parameter, gradient in zip(parameters, row, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


@pytest.mark.parametrize("columns", [8, 20, 3])
def test_gates_are_orthogonalised_separately(columns):
    torch.manual_seed(4)
    matrices = [torch.randn(4 * 8, columns), torch.randn(4 * 8, columns), torch.randn(4 * 8, 5)]
    gradients = [[torch.randn_like(matrix) for matrix in matrices] for _ in range(3)]
    together = stepped(matrices, gradients, lr=0.1, gates=4, weight_decay=0.1)
    for number, matrix in enumerate(matrices):
        for gate in range(4):
            rows = slice(8 * gate, 8 * gate + 8)
            alone, = stepped([matrix[rows]], [[row[number][rows]] for row in gradients], lr=0.1, gates=1,
                             weight_decay=0.1)
            assert torch.allclose(together[number][rows], alone, atol=1e-5)
    whole = stepped(matrices, gradients, lr=0.1, gates=1, weight_decay=0.1)
    assert not torch.allclose(together[0], whole[0], atol=1e-2)


def test_first_step_goes_against_the_orthogonalised_gradient():
    gradient = random_blocks(4, 16, count=1)[0]
    moved, = stepped([torch.zeros(4, 16)], [[gradient]], lr=0.5, gates=1)
    assert torch.allclose(moved, -0.5 * orthogonalise(gradient[None])[0], atol=1e-5)


def test_the_step_of_a_tall_block_grows_with_the_root_of_its_aspect_ratio():
    gradient = random_blocks(16, 4, count=1)[0]
    moved, = stepped([torch.zeros(16, 4)], [[gradient]], lr=0.5, gates=1)
    assert torch.allclose(moved, -1.0 * orthogonalise(gradient[None])[0], atol=1e-5)    # sqrt(16 / 4) = 2


def test_momentum_continues_when_the_gradient_vanishes():
    gradient = random_blocks(4, 16, count=1)[0]
    once, = stepped([torch.zeros(4, 16)], [[gradient]], lr=0.5, gates=1)
    twice, = stepped([torch.zeros(4, 16)], [[gradient], [torch.zeros(4, 16)]], lr=0.5, gates=1)
    assert torch.allclose(twice, 2 * once, atol=1e-4)           # the same direction, at full size
    without, = stepped([torch.zeros(4, 16)], [[gradient], [torch.zeros(4, 16)]], lr=0.5, gates=1, momentum=0.0)
    assert torch.allclose(without, once, atol=1e-4)


def test_weight_decay_shrinks_by_the_rate_times_the_decay():
    matrix = random_blocks(4, 16, count=1)[0]
    shrunk, = stepped([matrix], [[torch.zeros(4, 16)]], lr=0.5, gates=2, weight_decay=0.2)
    assert torch.allclose(shrunk, 0.9 * matrix)
