"""The whole network in torch: its parameters, `step`, causality, tied weights and dropout."""

import itertools

import pytest
import torch

from charlm.config import ModelConfig
from charlm.nn.network import Network

pytestmark = pytest.mark.usefixtures("one_thread")

CELLS = [("lstm", "tanh"), ("gru", "tanh"), ("rnn", "tanh"), ("rnn", "relu")]
VOCABULARY, HIDDEN, BATCH, TIME = 11, 8, 3, 9


def build(cell="lstm", nonlinearity="tanh", *, layers=2, tied=False, dropout=0.0, seed=0):
    torch.manual_seed(seed)
    network = Network(ModelConfig(VOCABULARY, cell=cell, nonlinearity=nonlinearity, num_layers=layers,
                                  embedding_size=HIDDEN if tied else 5, hidden_size=HIDDEN, tied=tied),
                      dropout=dropout)
    with torch.no_grad():                               # zero biases would hide mistakes
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def make_tokens(seed=5):
    return torch.randint(VOCABULARY, (BATCH, TIME), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def logits_of(network, tokens):
    return network.step(tokens, network.start(len(tokens)))[0]


def arrays_of(state):
    return [part for layer in state.layers for part in layer]


every_cell = pytest.mark.parametrize("cell, nonlinearity", CELLS)
every_network = pytest.mark.parametrize(
    "cell, nonlinearity, layers, tied",
    [(*cell, layers, tied) for cell, layers, tied in itertools.product(CELLS, (1, 2, 3), (False, True))])


@every_network
def test_parameters_have_the_configured_names_and_shapes(cell, nonlinearity, layers, tied):
    network = build(cell, nonlinearity, layers=layers, tied=tied)
    expected = network.config.parameter_shapes()
    assert {name: tuple(values.shape) for name, values in network.named_parameters()} == expected
    assert {name: tuple(values.shape) for name, values in network.weights().items()} == expected
    assert sum(values.numel() for values in network.parameters()) == network.config.parameter_count()


@every_cell
def test_step_returns_logits_of_every_token_in_batch_order(cell, nonlinearity):
    network, tokens = build(cell, nonlinearity), make_tokens()
    together = logits_of(network, tokens)
    assert together.shape == (BATCH, TIME, VOCABULARY)
    for row in range(BATCH):
        assert torch.allclose(together[row], logits_of(network, tokens[row:row + 1])[0], atol=1e-6)


@every_network
def test_one_step_over_a_window_equals_steps_token_by_token(cell, nonlinearity, layers, tied):
    network, tokens = build(cell, nonlinearity, layers=layers, tied=tied), make_tokens()
    with torch.no_grad():
        whole, end = network.step(tokens, network.start(BATCH))
        state = network.start(BATCH)
        for at in range(TIME):
            logits, state = network.step(tokens[:, at:at + 1], state)
            assert torch.allclose(logits[:, 0], whole[:, at], atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(arrays_of(state), arrays_of(end), strict=True))


@every_network
def test_later_tokens_never_change_earlier_logits(cell, nonlinearity, layers, tied):
    network, tokens = build(cell, nonlinearity, layers=layers, tied=tied), make_tokens()
    before = logits_of(network, tokens)
    for at in range(TIME):
        changed = tokens.clone()
        changed[:, at:] = (changed[:, at:] + 1 + torch.arange(TIME - at) % 3) % VOCABULARY
        after = logits_of(network, changed)
        assert torch.equal(after[:, :at], before[:, :at])
        assert (after[:, at] != before[:, at]).any()    # the logits do depend on the token itself


@pytest.mark.parametrize("cell, reference", [
    (("lstm", "tanh"), torch.nn.LSTM(5, HIDDEN, num_layers=2)),
    (("gru", "tanh"), torch.nn.GRU(5, HIDDEN, num_layers=2)),
    (("rnn", "tanh"), torch.nn.RNN(5, HIDDEN, num_layers=2, nonlinearity="tanh")),
    (("rnn", "relu"), torch.nn.RNN(5, HIDDEN, num_layers=2, nonlinearity="relu"))])
def test_stack_equals_a_torch_module_of_two_layers(cell, reference):
    network, tokens = build(*cell), make_tokens()
    weights = network.weights()
    reference.load_state_dict({name: weights[f"decoder.{name[-1]}.{name[:-1]}0"]
                               for name in reference.state_dict()})
    with torch.no_grad():
        outputs, _ = reference(torch.nn.functional.embedding(tokens.T, weights["embedding.weight"]))
        expected = outputs @ weights["head.weight"].T + weights["head.bias"]
    assert torch.allclose(logits_of(network, tokens), expected.transpose(0, 1), atol=1e-6)


@pytest.mark.parametrize("encoder, window", [("shared", 0), ("stacked", 0), ("bidirectional", 0),
                                             ("stacked", 4), ("bidirectional", 4)])
@pytest.mark.parametrize("attention", [False, True])
@every_cell
@torch.no_grad()
def test_weights_of_a_network_with_a_source_load_by_name_and_shape(cell, nonlinearity, attention,
                                                                                 encoder, window):
    config = ModelConfig(VOCABULARY, cell=cell, nonlinearity=nonlinearity, embedding_size=5, hidden_size=HIDDEN,
                         encoder=encoder, source_vocabulary_size=VOCABULARY, attention=attention, window=window)
    source, target, tokens = Network(config), Network(config), make_tokens()
    for network in (source, target):                    # initial zeros would hide a mistake
        torch.nn.init.normal_(network.context.empty)
    weights = source.weights()
    assert {name: tuple(values.shape) for name, values in source.named_parameters()} == config.parameter_shapes()
    assert {name: tuple(values.shape) for name, values in weights.items()} == config.parameter_shapes()

    def logits(network):
        state = network.start(BATCH) if window else network.encode(tokens, torch.tensor([TIME, 2, 5]))
        return network.step(tokens, state)[0]

    assert not torch.equal(logits(target), logits(source))
    target.load_weights(weights)
    assert torch.equal(logits(target), logits(source))


@pytest.mark.parametrize("attention", [False, True])
@torch.no_grad()
def test_window_advances_only_when_full_and_may_be_advanced_early(attention):
    network = Network(ModelConfig(VOCABULARY, embedding_size=5, hidden_size=HIDDEN, encoder="bidirectional",
                                  source_vocabulary_size=VOCABULARY, attention=attention, window=4))
    tokens = make_tokens()
    _, within = network.step(tokens[:, :3], network.start(BATCH))
    assert network.advance_window(within) is within
    _, end = network.step(tokens[:, :4], network.start(BATCH))
    advanced = network.advance_window(end)
    assert advanced.layers is end.layers and advanced.window_tokens.shape == (BATCH, 0)
    assert not torch.equal(advanced.memory.values, end.memory.values)
    assert torch.equal(network.step(tokens, advanced)[0], network.step(tokens, end)[0])
    plain = build()
    assert plain.advance_window(start := plain.start(BATCH)) is start


def test_tied_embedding_and_head_are_one_parameter():
    network = build(tied=True)
    assert network.head.weight is None                      # the embedding is used
    assert len(list(build().parameters())) == len(list(network.parameters())) + 1
    before = logits_of(network, make_tokens())
    with torch.no_grad():
        network.embedding.weight.add_(torch.randn_like(network.embedding.weight))
    assert not torch.allclose(logits_of(network, make_tokens()), before)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("convert", [lambda values: values, lambda values: values.numpy()])
def test_loaded_weights_give_the_same_logits_to_the_bit(tied, convert):
    source, target = build(tied=tied), build(tied=tied, seed=9)
    tokens = make_tokens()
    assert not torch.equal(logits_of(target, tokens), logits_of(source, tokens))
    target.load_weights({name: convert(values) for name, values in source.weights().items()})
    assert torch.equal(logits_of(target, tokens), logits_of(source, tokens))
    assert (target.head.weight is None) is tied


def test_weights_are_copies():
    network = build()
    kept = network.weights()
    with torch.no_grad():
        network.head.bias.add_(1)
    assert torch.allclose(kept["head.bias"] + 1, network.head.bias)


def test_dropout_applies_in_training_mode_only():
    network, tokens = build(dropout=0.5), make_tokens()
    network.train()
    assert not torch.equal(logits_of(network, tokens), logits_of(network, tokens))
    network.eval()
    plain = build(dropout=0.0)
    assert torch.equal(logits_of(network, tokens), logits_of(network, tokens))
    assert torch.equal(logits_of(network, tokens), logits_of(plain, tokens))


def test_dropout_of_zero_has_no_effect_in_training_mode():
    network, tokens = build(dropout=0.0), make_tokens()
    assert torch.equal(logits_of(network.train(), tokens), logits_of(network.eval(), tokens))


@every_cell
def test_dropout_spares_the_embedding_and_the_recurrent_connection(cell, nonlinearity):
    tokens = make_tokens()
    with torch.no_grad():
        noisy, plain = build(cell, nonlinearity, dropout=0.5), build(cell, nonlinearity)
        _, dropped = noisy.train().step(tokens, noisy.start(BATCH))
        _, whole = plain.step(tokens, plain.start(BATCH))
    first, second = ([torch.equal(a, b) for a, b in zip(*layers, strict=True)]
                     for layers in zip(dropped.layers, whole.layers, strict=True))
    assert all(first) and not any(second)               # the second layer's input was dropped


@every_cell
def test_start_returns_zeros(cell, nonlinearity):
    state = build(cell, nonlinearity).start(4)
    assert [len(layer) for layer in state.layers] == [2 if cell == "lstm" else 1] * 2
    assert all(part.shape == (1, 4, HIDDEN) and not part.any() for part in arrays_of(state))


def test_same_seed_initialises_the_same_weights():
    equal, other = build(seed=3).weights(), build(seed=4).weights()
    assert all(torch.equal(values, equal[name]) for name, values in build(seed=3).weights().items())
    assert not torch.equal(equal["embedding.weight"], other["embedding.weight"])
