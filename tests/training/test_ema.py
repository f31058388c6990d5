"""The mean of the weights: hand-worked numbers, and a network that gets its own weights back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import ModelConfig
from charlm.nn.network import Network
from charlm.training.ema import WeightAverage

CONFIG = {"vocabulary_size": 5, "num_layers": 1, "embedding_size": 4, "hidden_size": 4}
TOKENS = torch.tensor([[0, 3, 1, 4, 2]])


def number(value=0.0):
    """A network of a single parameter."""
    network = torch.nn.Linear(1, 1, bias=False)
    put(network, value)
    return network


def put(network, value):
    network.weight.data.fill_(value)


def mean_of(average):
    [mean] = average.tensors().values()
    return mean.item()


def means_after(values, decay):
    """The mean after each update, of a parameter that is the first value, then takes the others."""
    network = number(values[0])
    average, means = WeightAverage(network, decay), []
    for step, value in enumerate(values[1:]):
        put(network, value)
        average.update(step)
        means.append(mean_of(average))
    return means


def network_of(seed, **options):
    torch.manual_seed(seed)
    return Network(ModelConfig(**CONFIG | options))


def take_weights(network, seed, **options):
    """As an update does: other values in the same parameters."""
    network.load_weights(network_of(seed, **options).weights())


def logits(network):
    with torch.no_grad():
        return network.step(TOKENS, network.start(1))[0]


def same(some, others):
    return set(some) == set(others) and all(torch.equal(some[name], others[name]) for name in some)


def copied(tensors):
    return {name: value.clone() for name, value in tensors.items()}


def averaged(network, seeds, decay=0.9, **options):
    """A mean that has taken in some weights, the network standing at the last of them."""
    average = WeightAverage(network, decay)
    for step, seed in enumerate(seeds):
        take_weights(network, seed, **options)
        average.update(step)
    return average


# What the mean is


def test_mean_of_0_1_2_at_decay_9_tenths_is_29_hundredths():
    assert means_after([0, 1, 2], 0.9) == pytest.approx([0.1, 0.29])     # 0 + 1/10, then 0.1 + 1.9/10


def test_young_mean_moves_by_a_tenth_an_eleventh_and_a_twelfth():
    # 0 + 1/10 = 1.1/11, then (1.1 + 1.9)/11 = 3/11, then 3/11 - 3/11/12 = 1/4, then 1/4 - 1/4/13 = 3/13
    assert means_after([0, 1, 2, 0, 0], 0.99) == pytest.approx([1 / 10, 3 / 11, 1 / 4, 3 / 13])


def test_old_mean_moves_as_slowly_as_the_decay_says():
    network = number()
    average = WeightAverage(network, 0.95)
    put(network, 1)
    average.update(1000)
    assert mean_of(average) == pytest.approx(0.05)


def test_mean_before_any_update_is_of_the_first_weights():
    network = number(7)
    average = WeightAverage(network, 0.5)
    put(network, 1)
    assert mean_of(average) == 7


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), st.floats(1e-6, 0.999999))
def test_mean_is_between_the_least_and_the_largest_value(values, decay):
    slack = 1e-6 * max(map(abs, values))
    assert all(min(values) - slack <= mean <= max(values) + slack for mean in means_after(values, decay))


def test_every_parameter_is_averaged_and_none_is_trained_by_it():
    network = network_of(0)
    first = copied(network.weights())
    average = averaged(network, [1])
    assert set(average.tensors()) == set(dict(network.named_parameters()))
    for name, mean in average.tensors().items():
        expected = 0.9 * first[name].double() + 0.1 * network.weights()[name].double()
        assert torch.allclose(mean.double(), expected, atol=1e-6) and not mean.requires_grad, name


# In the network's place


@pytest.mark.parametrize("options", [{}, {"tied": True}, {"cell": "gru", "num_layers": 2}], ids=str)
def test_in_place_the_network_is_one_of_the_mean(options):
    network, other = network_of(0, **options), network_of(9, **options)
    average = averaged(network, [1, 2], **options)
    other.load_weights(copied(average.tensors()))
    with average.swapped_in():
        inside = logits(network)
        assert same(network.weights(), other.weights())
    assert torch.equal(inside, logits(other)) and not torch.allclose(inside, logits(network))


def test_tied_matrix_is_one_inside_in_place_too():
    network = network_of(0, tied=True)
    average = averaged(network, [1], tied=True)
    with average.swapped_in():
        assert "head.weight" not in network.weights()
        before = logits(network)
        with torch.no_grad():
            network.embedding.weight[2] += 1                # a token that is read last: only written here
        changed = (logits(network) != before)[0, :-1].any(dim=0)
    assert changed.tolist() == [False, False, True, False, False]


def test_after_in_place_the_network_has_its_own_weights_in_its_own_memory():
    network = network_of(0)
    average = averaged(network, [1])
    own, mean = network.weights(), copied(average.tensors())
    where = [parameter.data_ptr() for parameter in network.parameters()]
    with average.swapped_in():
        assert not same(network.weights(), own)
    assert same(network.weights(), own) and same(average.tensors(), mean)
    assert [parameter.data_ptr() for parameter in network.parameters()] == where


def test_own_weights_come_back_after_an_exception():
    network = network_of(0)
    average = averaged(network, [1])
    own = network.weights()
    with pytest.raises(KeyboardInterrupt), average.swapped_in():
        raise KeyboardInterrupt
    assert same(network.weights(), own)


def test_updates_after_in_place_go_on_as_if_it_had_never_been():
    looked, other = network_of(0), network_of(0)
    average, unseen = averaged(looked, [1]), averaged(other, [1, 2])
    with average.swapped_in():
        pass
    take_weights(looked, 2)
    average.update(1)
    assert same(average.tensors(), unseen.tensors())


# Without a decay


def test_decay_0_keeps_nothing_and_changes_nothing():
    network = network_of(0)
    average = averaged(network, [1, 2], decay=0)
    own = network.weights()
    assert average.tensors() == {}
    with average.swapped_in():
        assert same(network.weights(), own)
    average.restore({})
    assert same(network.weights(), own)


# Restored


def test_restored_mean_goes_on_as_if_never_stopped():
    whole = averaged(network_of(0), [1, 2, 3, 4])
    saved = copied(averaged(network_of(0), [1, 2]).tensors())
    network = network_of(7)
    again = WeightAverage(network, 0.9)
    again.restore(saved)
    assert same(again.tensors(), saved)
    for step, seed in ((2, 3), (3, 4)):
        take_weights(network, seed)
        again.update(step)
    assert same(again.tensors(), whole.tensors())


def test_restoring_neither_moves_the_network_nor_keeps_what_it_was_given():
    network = network_of(0)
    average = WeightAverage(network, 0.9)
    given_tensors = averaged(network_of(0), [1]).tensors()
    before, own = copied(given_tensors), network.weights()
    average.restore(given_tensors)
    assert same(network.weights(), own)
    average.update(0)
    assert same(given_tensors, before) and not same(average.tensors(), before)


@pytest.mark.parametrize("other", [
    lambda mean: {}, lambda mean: {name: mean[name] for name in mean if name != "head.bias"},
    lambda mean: mean | {"more": torch.zeros(1)}, lambda mean: mean | {"head.bias": torch.zeros(6)},
    lambda mean: mean | {"head.bias": torch.zeros(1)}, lambda mean: mean | {"head.bias": torch.zeros(5, 1)}],
    ids=["none", "missing", "one more", "longer", "shorter", "another form"])
def test_mean_of_another_network_is_refused_and_nothing_is_taken_over(other):
    average = WeightAverage(network_of(0), 0.9)
    before = copied(average.tensors())
    with pytest.raises(ValueError, match="another run"):
        average.restore(other(copied(averaged(network_of(0), [1]).tensors())))
    assert same(average.tensors(), before)


def test_mean_is_refused_where_there_is_to_be_none():
    network = network_of(0)
    with pytest.raises(ValueError, match="another run"):
        WeightAverage(network, 0).restore(averaged(network_of(0), [1]).tensors())
