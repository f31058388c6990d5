"""The search for settings: it finds what suits the text, and reads neither too much nor too little."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from charlm.adaptation.adapter import Adapter
from charlm.adaptation.search import MAX_TOKENS, MIN_TOKENS, UNCHANGED, find_settings, take, token_budget
from charlm.config import AdaptationSettings, ModelConfig
from charlm.inference.network import Network
from tests.helpers.models import random_weights

CONFIG = ModelConfig(12, hidden_size=8, embedding_size=4)


def test_a_text_that_repeats_is_read_with_more_trust_in_counts():
    network = Network(CONFIG, random_weights(CONFIG, scale=0.3))
    row = np.tile(np.random.default_rng(0).integers(0, 12, 60), 20)
    found = find_settings(network, [row])
    assert found == find_settings(network, [row]) and found != UNCHANGED
    assert found.concentration < AdaptationSettings().concentration


def test_a_text_without_pattern_leaves_the_model_as_it_is():
    weights = {name: 0 * values for name, values in random_weights(CONFIG).items()}
    rows = np.split(np.random.default_rng(0).integers(0, 12, 1500), 30)
    assert find_settings(Network(CONFIG, weights), rows) == UNCHANGED


def test_rows_are_taken_up_to_the_budget():
    rows = [np.arange(801)] * 5
    assert [len(row) for row in take(iter(rows), 2000)] == [801, 801, 401]
    assert take(rows[:1], 2000) == [] and take([np.arange(MIN_TOKENS + 1)], 2000)


def test_a_larger_network_reads_less():
    budgets = [token_budget(ModelConfig(size, hidden_size=width))
               for size, width in ((66, 64), (66, 512), (8000, 256), (66, 4096))]
    assert budgets == sorted(budgets, reverse=True) and budgets[0] == MAX_TOKENS and budgets[-1] == 0


@pytest.mark.parametrize("name, value", [("head_rate", -1e-9), ("head_rate", 2), ("concentration", 0),
                                         ("head_pull", "1"), ("count_weight", None), ("mixing_rate", float("nan")), ("head_rate", True)])
def test_settings_out_of_bounds_are_refused(name, value):
    from charlm.errors import UsageError
    with pytest.raises(UsageError, match=name):
        AdaptationSettings.from_json(asdict(AdaptationSettings()) | {name: value})


def test_extreme_settings_that_are_allowed_keep_distributions_finite():
    rng = np.random.default_rng(0)
    for settings in (AdaptationSettings(1, 1, 1, 0.01, 1), AdaptationSettings(1, 0, 1, 1000, 1)):
        adapter = Adapter(rng.standard_normal((9, 5)), np.zeros(9), settings)
        nats = adapter.nats(rng.integers(-127, 128, (400, 5)), rng.integers(0, 9, 400))
        assert np.isfinite(nats).all()
    assert replace(settings, head_rate=0.5).head_rate == 0.5
