"""Attention against torch's scaled dot product, and the context of an empty past."""

import pytest
import torch
from torch.nn import functional as F

from charlm.config import ModelConfig
from charlm.nn.context import Context

pytestmark = pytest.mark.usefixtures("one_thread")

HIDDEN, BATCH, TIME, POSITIONS = 6, 4, 5, 7
LENGTHS = torch.tensor([3, 7, 1, 0])


def build_context(encoder, *, attention):
    torch.manual_seed(4)
    context = Context(ModelConfig(11, hidden_size=HIDDEN, encoder=encoder, source_vocabulary_size=11,
                                  attention=attention), dropout=0.0)
    torch.nn.init.normal_(context.empty)
    torch.nn.init.normal_(context.merge.bias)
    return context


def random_inputs(context):
    """Return decoder outputs, and the outputs and last outputs of an encoder."""
    width = len(context.empty)
    return torch.randn(TIME, BATCH, HIDDEN), torch.randn(POSITIONS, BATCH, width), torch.randn(BATCH, width)


def merge(context, x, context_vectors):
    """Return the attentional vector of Luong et al. 2015, equation 5."""
    return torch.tanh(torch.cat([x, context_vectors], dim=2) @ context.merge.weight.T + context.merge.bias)


every_encoder = pytest.mark.parametrize("encoder", ["shared", "stacked", "bidirectional"])


@every_encoder
@torch.no_grad()
def test_attention_equals_torchs_scaled_dot_product(encoder):
    context = build_context(encoder, attention=True)
    x, outputs, last = random_inputs(context)
    slots = torch.cat([context.empty.expand(BATCH, 1, -1), outputs.transpose(0, 1)], dim=1)    # (B, 1 + S, M)
    mask = torch.tensor([[position <= length for position in range(1 + POSITIONS)] for length in LENGTHS])
    query, key = x.transpose(0, 1) @ context.query.weight.T, slots @ context.key.weight.T
    context_vectors = F.scaled_dot_product_attention(query, key, slots, attn_mask=mask[:, None])
    found = context(x, context.build_memory(outputs, last, LENGTHS))
    assert torch.allclose(found, merge(context, x, context_vectors.transpose(0, 1)), atol=1e-6)


@every_encoder
@torch.no_grad()
def test_without_attention_the_context_is_the_last_output_at_every_step(encoder):
    context = build_context(encoder, attention=False)
    x, outputs, last = random_inputs(context)
    found = context(x, context.build_memory(outputs, last, LENGTHS))
    assert torch.allclose(found, merge(context, x, last.expand(TIME, -1, -1)), atol=1e-6)


@pytest.mark.parametrize("attention", [False, True])
@every_encoder
@torch.no_grad()
def test_context_of_an_empty_past_is_the_empty_slot(encoder, attention):
    context = build_context(encoder, attention=attention)
    x, _, _ = random_inputs(context)
    empty = context.empty.expand(TIME, BATCH, -1)
    expected = torch.tanh(context.merge(torch.cat([x, empty], dim=2)))
    assert torch.equal(context(x, context.empty_memory(BATCH, POSITIONS)), expected)


@every_encoder
@torch.no_grad()
def test_attention_to_an_empty_source_finds_only_the_empty_slot(encoder):
    context = build_context(encoder, attention=True)
    x, outputs, last = random_inputs(context)
    found = context(x, context.build_memory(outputs, last, LENGTHS))
    expected = torch.tanh(context.merge(torch.cat([x, context.empty.expand(TIME, BATCH, -1)], dim=2)))
    row = LENGTHS.tolist().index(0)
    assert torch.equal(found[:, row], expected[:, row])
    assert not torch.allclose(found[:, 0], expected[:, 0], atol=1e-3)


@pytest.mark.parametrize("attention", [False, True])
@torch.no_grad()
def test_empty_memory_is_as_wide_as_that_of_a_window(attention):
    context = build_context("stacked", attention=attention)
    _, outputs, last = random_inputs(context)
    empty, read = context.empty_memory(BATCH, POSITIONS), context.build_memory(outputs, last, LENGTHS)
    assert empty.values.shape == read.values.shape
    if attention:
        assert empty.keys.shape == read.keys.shape
        assert empty.mask.sum(dim=1).tolist() == [1] * BATCH
        assert read.mask.sum(dim=1).tolist() == (1 + LENGTHS).tolist()


@pytest.mark.parametrize("attention", [False, True])
@every_encoder
@torch.no_grad()
def test_memory_of_positions_holds_their_sources_or_their_outputs(encoder, attention):
    context, rows = build_context(encoder, attention=attention), torch.tensor([1, 0, 0, 1, 2])
    _, outputs, _ = random_inputs(context)
    last = outputs[torch.tensor([6, 0, 2, 6, 0]), rows]
    memory = context.build_memory(outputs, last, LENGTHS, rows)
    if not attention:
        assert torch.equal(memory.values, last[:, None])
        return
    whole = context.build_memory(outputs, outputs[0], LENGTHS)
    assert torch.equal(memory.values, whole.values[rows]) and torch.equal(memory.keys, whole.keys[rows])
    assert torch.equal(memory.mask, whole.mask[rows])
