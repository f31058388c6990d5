"""The mean of the weights: hand-worked numbers, and a network that gets its weights back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import ModelConfig
from charlm.nn.network import Network
from charlm.training.ema import WeightAverage

CONFIG = {"vocabulary_size": 5, "num_layers": 1, "embedding_size": 4, "hidden_size": 4}
TOKENS = torch.tensor([[0, 3, 1, 4, 2]])


def scalar_network(value=0.0):
    """Return a network with a single parameter."""
    network = torch.nn.Linear(1, 1, bias=False)
    set_value(network, value)
    return network


def set_value(network, value):
    network.weight.data.fill_(value)


def mean_of(average):
    [mean] = average.tensors().values()
    return mean.item()


def means_after(values, decay):
    """Return the mean after each update of a parameter that starts at the first value and takes the others."""
    network = scalar_network(values[0])
    average, means = WeightAverage(network, decay), []
    for step, value in enumerate(values[1:]):
        set_value(network, value)
        average.update(step)
        means.append(mean_of(average))
    return means


def network_of(seed, **options):
    torch.manual_seed(seed)
    return Network(ModelConfig(**CONFIG | options))


def change_weights(network, seed, **options):
    """Give the same parameters other values, as an update does."""
    network.load_weights(network_of(seed, **options).weights())


def logits(network):
    with torch.no_grad():
        return network.step(TOKENS, network.start(1))[0]


def same(tensors, others):
    return set(tensors) == set(others) and all(torch.equal(tensors[name], others[name]) for name in tensors)


def copied(tensors):
    return {name: value.clone() for name, value in tensors.items()}


def averaged(network, seeds, decay=0.9, **options):
    """Return a mean over the weights of these seeds; the network keeps the last ones."""
    average = WeightAverage(network, decay)
    for step, seed in enumerate(seeds):
        change_weights(network, seed, **options)
        average.update(step)
    return average


# The mean


def test_mean_of_0_1_2_at_decay_9_tenths_is_29_hundredths():
    assert means_after([0, 1, 2], 0.9) == pytest.approx([0.1, 0.29])     # 0 + 1/10, then 0.1 + 1.9/10


def test_first_updates_move_the_mean_by_a_tenth_an_eleventh_a_twelfth():
    # 0 + 1/10 = 1.1/11, then (1.1 + 1.9)/11 = 3/11, then 3/11 - 3/11/12 = 1/4, then 1/4 - 1/4/13 = 3/13
    assert means_after([0, 1, 2, 0, 0], 0.99) == pytest.approx([1 / 10, 3 / 11, 1 / 4, 3 / 13])


def test_later_updates_move_the_mean_by_one_minus_the_decay():
    network = scalar_network()
    average = WeightAverage(network, 0.95)
    set_value(network, 1)
    average.update(1000)
    assert mean_of(average) == pytest.approx(0.05)


def test_mean_before_any_update_is_the_initial_weights():
    network = scalar_network(7)
    average = WeightAverage(network, 0.5)
    set_value(network, 1)
    assert mean_of(average) == 7


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), st.floats(1e-6, 0.999999))
def test_mean_is_between_the_smallest_and_the_largest_value(values, decay):
    slack = 1e-6 * max(map(abs, values))
    assert all(min(values) - slack <= mean <= max(values) + slack for mean in means_after(values, decay))


def test_every_parameter_is_averaged_and_no_mean_requires_a_gradient():
    network = network_of(0)
    first = copied(network.weights())
    average = averaged(network, [1])
    assert set(average.tensors()) == set(dict(network.named_parameters()))
    for name, mean in average.tensors().items():
        expected = 0.9 * first[name].double() + 0.1 * network.weights()[name].double()
        assert torch.allclose(mean.double(), expected, atol=1e-6) and not mean.requires_grad, name


# Swapped in


@pytest.mark.parametrize("options", [{}, {"tied": True}, {"cell": "gru", "num_layers": 2}], ids=str)
def test_swapped_in_network_computes_with_the_mean(options):
    network, other = network_of(0, **options), network_of(9, **options)
    average = averaged(network, [1, 2], **options)
    other.load_weights(copied(average.tensors()))
    with average.swapped_in():
        inside = logits(network)
        assert same(network.weights(), other.weights())
    assert torch.equal(inside, logits(other)) and not torch.allclose(inside, logits(network))


def test_tied_matrix_stays_tied_while_swapped_in():
    network = network_of(0, tied=True)
    average = averaged(network, [1], tied=True)
    with average.swapped_in():
        assert "head.weight" not in network.weights()
        before = logits(network)
        with torch.no_grad():
            network.embedding.weight[2] += 1                # the last token: before it, only the head changes
        changed = (logits(network) != before)[0, :-1].any(dim=0)
    assert changed.tolist() == [False, False, True, False, False]


def test_after_swapping_the_network_has_its_weights_in_the_same_memory():
    network = network_of(0)
    average = averaged(network, [1])
    before, mean = network.weights(), copied(average.tensors())
    where = [parameter.data_ptr() for parameter in network.parameters()]
    with average.swapped_in():
        assert not same(network.weights(), before)
    assert same(network.weights(), before) and same(average.tensors(), mean)
    assert [parameter.data_ptr() for parameter in network.parameters()] == where


def test_weights_are_swapped_back_after_an_exception():
    network = network_of(0)
    average = averaged(network, [1])
    before = network.weights()
    with pytest.raises(KeyboardInterrupt), average.swapped_in():
        raise KeyboardInterrupt
    assert same(network.weights(), before)


def test_swapping_in_does_not_affect_later_updates():
    network, other = network_of(0), network_of(0)
    average, expected = averaged(network, [1]), averaged(other, [1, 2])
    with average.swapped_in():
        pass
    change_weights(network, 2)
    average.update(1)
    assert same(average.tensors(), expected.tensors())


# A decay of 0


def test_decay_of_0_holds_no_mean_and_changes_nothing():
    network = network_of(0)
    average = averaged(network, [1, 2], decay=0)
    before = network.weights()
    assert average.tensors() == {}
    with average.swapped_in():
        assert same(network.weights(), before)
    average.restore({})
    assert same(network.weights(), before)


# Restored


def test_restored_mean_continues_as_if_uninterrupted():
    whole = averaged(network_of(0), [1, 2, 3, 4])
    saved = copied(averaged(network_of(0), [1, 2]).tensors())
    network = network_of(7)
    again = WeightAverage(network, 0.9)
    again.restore(saved)
    assert same(again.tensors(), saved)
    for step, seed in ((2, 3), (3, 4)):
        change_weights(network, seed)
        again.update(step)
    assert same(again.tensors(), whole.tensors())


def test_restoring_copies_and_leaves_the_network_alone():
    network = network_of(0)
    average = WeightAverage(network, 0.9)
    given_tensors = averaged(network_of(0), [1]).tensors()
    before, weights = copied(given_tensors), network.weights()
    average.restore(given_tensors)
    assert same(network.weights(), weights)
    average.update(0)
    assert same(given_tensors, before) and not same(average.tensors(), before)


@pytest.mark.parametrize("other", [
    lambda mean: {}, lambda mean: {name: mean[name] for name in mean if name != "head.bias"},
    lambda mean: mean | {"more": torch.zeros(1)}, lambda mean: mean | {"head.bias": torch.zeros(6)},
    lambda mean: mean | {"head.bias": torch.zeros(1)}, lambda mean: mean | {"head.bias": torch.zeros(5, 1)}],
    ids=["none", "missing", "one more", "longer", "shorter", "another rank"])
def test_mean_of_another_network_is_refused_and_nothing_is_changed(other):
    average = WeightAverage(network_of(0), 0.9)
    before = copied(average.tensors())
    with pytest.raises(ValueError, match="another run"):
        average.restore(other(copied(averaged(network_of(0), [1]).tensors())))
    assert same(average.tensors(), before)


def test_mean_is_refused_if_the_decay_is_0():
    network = network_of(0)
    with pytest.raises(ValueError, match="another run"):
        WeightAverage(network, 0).restore(averaged(network_of(0), [1]).tensors())
