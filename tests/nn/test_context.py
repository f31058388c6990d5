"""Attention against torch's own, and what there is to attend to where nothing was read."""

import pytest
import torch
from torch.nn import functional as F

from charlm.config import ModelConfig
from charlm.nn.context import Context

pytestmark = pytest.mark.usefixtures("one_thread")

HIDDEN, BATCH, TIME, POSITIONS = 6, 4, 5, 7
LENGTHS = torch.tensor([3, 7, 1, 0])


def built(encoder, *, attention):
    torch.manual_seed(4)
    context = Context(ModelConfig(11, hidden_size=HIDDEN, encoder=encoder, source_vocabulary_size=11,
                                  attention=attention), dropout=0.0)
    torch.nn.init.normal_(context.empty)
    torch.nn.init.normal_(context.merge.bias)
    return context


def some(context):
    """Decoder outputs, and outputs and last ones of an encoder."""
    width = len(context.empty)
    return torch.randn(TIME, BATCH, HIDDEN), torch.randn(POSITIONS, BATCH, width), torch.randn(BATCH, width)


def merged(context, x, taken):
    """The attentional vector of Luong et al. 2015, equation 5."""
    return torch.tanh(torch.cat([x, taken], dim=2) @ context.merge.weight.T + context.merge.bias)


every_encoder = pytest.mark.parametrize("encoder", ["shared", "stacked", "bidirectional"])


@every_encoder
@torch.no_grad()
def test_attention_equals_torchs_scaled_dot_product(encoder):
    context = built(encoder, attention=True)
    x, outputs, last = some(context)
    slots = torch.cat([context.empty.expand(BATCH, 1, -1), outputs.transpose(0, 1)], dim=1)    # (B, 1 + S, M)
    present = torch.tensor([[position <= length for position in range(1 + POSITIONS)] for length in LENGTHS])
    taken = F.scaled_dot_product_attention(x.transpose(0, 1) @ context.query.weight.T, slots @ context.key.weight.T,
                                           slots, attn_mask=present[:, None])
    found = context(x, context.build_memory(outputs, last, LENGTHS))
    assert torch.allclose(found, merged(context, x, taken.transpose(0, 1)), atol=1e-6)


@every_encoder
@torch.no_grad()
def test_without_attention_the_context_is_the_last_output_at_every_step(encoder):
    context = built(encoder, attention=False)
    x, outputs, last = some(context)
    found = context(x, context.build_memory(outputs, last, LENGTHS))
    assert torch.allclose(found, merged(context, x, last.expand(TIME, -1, -1)), atol=1e-6)


@pytest.mark.parametrize("attention", [False, True])
@every_encoder
@torch.no_grad()
def test_where_nothing_was_read_the_context_is_the_empty_slot(encoder, attention):
    context = built(encoder, attention=attention)
    x, _, _ = some(context)
    empty = context.empty.expand(TIME, BATCH, -1)
    expected = torch.tanh(context.merge(torch.cat([x, empty], dim=2)))
    assert torch.equal(context(x, context.empty_memory(BATCH, POSITIONS)), expected)


@every_encoder
@torch.no_grad()
def test_attention_to_a_source_of_no_tokens_is_to_the_empty_slot_alone(encoder):
    context = built(encoder, attention=True)
    x, outputs, last = some(context)
    found = context(x, context.build_memory(outputs, last, LENGTHS))
    expected = torch.tanh(context.merge(torch.cat([x, context.empty.expand(TIME, BATCH, -1)], dim=2)))
    row = LENGTHS.tolist().index(0)
    assert torch.equal(found[:, row], expected[:, row])
    assert not torch.allclose(found[:, 0], expected[:, 0], atol=1e-3)


@pytest.mark.parametrize("attention", [False, True])
@torch.no_grad()
def test_an_empty_past_is_as_wide_as_a_window_of_it(attention):
    context = built("stacked", attention=attention)
    _, outputs, last = some(context)
    nothing, read = context.empty_memory(BATCH, POSITIONS), context.build_memory(outputs, last, LENGTHS)
    assert nothing.values.shape == read.values.shape
    if attention:
        assert nothing.keys.shape == read.keys.shape
        assert nothing.mask.sum(dim=1).tolist() == [1] * BATCH
        assert read.mask.sum(dim=1).tolist() == (1 + LENGTHS).tolist()


@pytest.mark.parametrize("attention", [False, True])
@every_encoder
@torch.no_grad()
def test_of_places_each_row_remembers_its_own_source_or_without_attention_its_own_output(encoder, attention):
    context, rows = built(encoder, attention=attention), torch.tensor([1, 0, 0, 1, 2])
    _, outputs, _ = some(context)
    last = outputs[torch.tensor([6, 0, 2, 6, 0]), rows]
    memory = context.build_memory(outputs, last, LENGTHS, rows)
    if not attention:
        assert torch.equal(memory.values, last[:, None])
        return
    whole = context.build_memory(outputs, outputs[0], LENGTHS)
    assert torch.equal(memory.values, whole.values[rows]) and torch.equal(memory.keys, whole.keys[rows])
    assert torch.equal(memory.mask, whole.mask[rows])
