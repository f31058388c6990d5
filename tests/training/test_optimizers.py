"""The optimizer of each parameter, and the learning rate over a run."""

import itertools

import pytest
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.nn.network import Network
from charlm.training import optimizers as module
from charlm.training.optimizers import Optimizers, rate_factor

pytestmark = pytest.mark.usefixtures("one_thread")

RUNS = [TrainingConfig(steps=1000, warmup=50), TrainingConfig(steps=100, warmup=50), TrainingConfig(steps=40, warmup=0),
        TrainingConfig(steps=1), TrainingConfig(steps=7, warmup=3), TrainingConfig(steps=10, warmup=1 << 40)]


@pytest.mark.parametrize("run", RUNS)
def test_rate_is_zero_at_the_end_and_never_before(run):
    assert rate_factor(run.steps, run) == 0
    assert all(0 < rate_factor(step, run) <= 1 for step in range(run.steps))


def test_rate_rises_during_warm_up_and_falls_after_it():
    run = TrainingConfig(steps=1000, warmup=50)
    factors = [rate_factor(step, run) for step in range(1001)]
    assert factors[0] == 1 / 50
    assert all(a < b for a, b in itertools.pairwise(factors[:50]))
    assert all(a > b for a, b in itertools.pairwise(factors[49:]))


def test_after_warm_up_the_rate_is_the_remaining_share_of_the_run():
    run = TrainingConfig(steps=1000, warmup=50)
    assert [rate_factor(step, run) for step in (250, 500, 900)] == pytest.approx([0.75, 0.5, 0.1])


def test_warm_up_takes_at_most_a_tenth_of_a_run():
    run = TrainingConfig(steps=100, warmup=50)
    factors = [rate_factor(step, run) for step in range(100)]
    assert factors.index(max(factors)) == 9
    assert rate_factor(0, TrainingConfig(steps=40, warmup=0)) == 1


def assigned(monkeypatch, *, optimizer="muon", tied=False, cell="lstm", **architecture):
    """Return the names of the parameters given to AdamW and to Muon."""
    given = {"adamw": [], "muon": []}

    def spy(name, original):
        def build(parameters, **options):
            parameters = list(parameters)
            given[name].extend(parameters)
            return original(parameters, **options)
        return build

    monkeypatch.setattr(torch.optim, "AdamW", spy("adamw", torch.optim.AdamW))
    monkeypatch.setattr(module, "Muon", spy("muon", module.Muon))
    network = Network(ModelConfig(9, cell=cell, embedding_size=6, hidden_size=6, tied=tied, **architecture))
    Optimizers(network, TrainingConfig(steps=5, optimizer=optimizer))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {name: sorted(names[id(parameter)] for parameter in parameters) for name, parameters in given.items()}


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_muon_gets_exactly_the_matrices_of_the_recurrent_layers(monkeypatch, tied, cell):
    given = assigned(monkeypatch, tied=tied, cell=cell)
    assert given["muon"] == ["decoder.0.weight_hh_l0", "decoder.0.weight_ih_l0",
                             "decoder.1.weight_hh_l0", "decoder.1.weight_ih_l0"]
    biases = [f"decoder.{layer}.bias_{kind}_l0" for layer in (0, 1) for kind in ("hh", "ih")]
    assert given["adamw"] == sorted([*biases, "embedding.weight", "head.bias", *([] if tied else ["head.weight"])])


@pytest.mark.parametrize("encoder, directions", [("shared", 0), ("stacked", 1), ("bidirectional", 2)])
def test_muon_gets_the_matrices_of_the_encoders_layers_too(monkeypatch, encoder, directions):
    given = assigned(monkeypatch, encoder=encoder, source_vocabulary_size=7, attention=True)
    layers = [f"decoder.{layer}" for layer in (0, 1)] + [f"encoder.layers.{layer}.{direction}"
                                                         for layer in (0, 1) for direction in range(directions)]
    assert given["muon"] == sorted(f"{layer}.weight_{kind}_l0" for layer in layers for kind in ("hh", "ih"))
    rest = {"embedding.weight", "head.weight", "encoder.embedding.weight", "context.query.weight", "context.key.weight",
            "context.empty", "context.merge.weight", *(["bridge.weight"] if directions else [])}
    assert rest <= set(given["adamw"]) and not set(given["adamw"]) & set(given["muon"])


def test_adamw_alone_gets_everything(monkeypatch):
    given = assigned(monkeypatch, optimizer="adamw")
    assert given["muon"] == [] and len(given["adamw"]) == 11


def with_gradients(**options):
    torch.manual_seed(0)
    network = Network(ModelConfig(9, embedding_size=6, hidden_size=6))
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    return network, Optimizers(network, TrainingConfig(steps=100, warmup=0, **options))


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_every_parameter_moves_unless_the_rate_is_zero(optimizer):
    network, optimizers = with_gradients(optimizer=optimizer)
    before = network.weights()
    assert optimizers.step(0.0) == 0
    assert all(torch.equal(values, before[name]) for name, values in network.weights().items())
    optimizers.step(1.0)
    assert not any(torch.equal(values, before[name]) for name, values in network.weights().items())


def test_step_returns_adamws_rate():
    _, optimizers = with_gradients(learning_rate=0.004)
    assert optimizers.step(1.0) == pytest.approx(0.004)
    assert optimizers.step(0.5) == pytest.approx(0.002)


@pytest.mark.parametrize("name", ["head.bias", "decoder.1.weight_hh_l0"])
def test_halving_the_factor_halves_a_first_step(name):
    moved = []
    for factor in (1.0, 0.5):
        network, optimizers = with_gradients()
        before = network.weights()[name]
        optimizers.step(factor)
        moved.append(network.weights()[name] - before)
    assert torch.allclose(moved[0], 2 * moved[1], atol=1e-6)
