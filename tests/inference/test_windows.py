"""Running text gives the same logits however it is cut into calls, in torch and in NumPy."""

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("one_thread")

BATCH, TIME, WINDOW = 2, 11, 3
TOKENS = np.random.default_rng(5).integers(13, size=(BATCH, TIME))


def in_pieces(network, cuts):
    """Return the logits of the tokens, read in one call for each piece."""
    state, logits = network.start(BATCH), []
    for start, stop in zip([0, *cuts], [*cuts, TIME], strict=True):
        new, state = network.step(TOKENS[:, start:stop], state)
        logits.append(new)
    return np.concatenate(logits, axis=1)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(cuts=range(1, TIME))               # token by token
@example(cuts=range(WINDOW, TIME, WINDOW))  # exact windows, as in training
@given(cuts=st.sets(st.integers(1, TIME - 1)).map(sorted))
def test_text_read_in_any_pieces_equals_the_whole(windowed_network, cuts):
    whole, _ = windowed_network.step(TOKENS, windowed_network.start(BATCH))
    assert np.abs(in_pieces(windowed_network, cuts) - whole).max() < 1e-5


def test_second_window_is_read_with_a_memory_of_the_first(windowed_network):
    """The decoder carries its hidden state on, and the encoder reads the first window again."""
    assert windowed_network.config.window == WINDOW
    _, state = windowed_network.step(TOKENS[:, :WINDOW], windowed_network.start(BATCH))
    assert np.array_equal(state.window_tokens, TOKENS[:, :WINDOW])
    _, after = windowed_network.step(TOKENS[:, WINDOW:WINDOW + 1], state)
    assert np.array_equal(after.window_tokens, TOKENS[:, WINDOW:WINDOW + 1])
    # The memory of a window does not depend on the text before it.
    _, other = windowed_network.step(np.concatenate([TOKENS[:, -WINDOW:], TOKENS], axis=1)[:, :2 * WINDOW + 1],
                           windowed_network.start(BATCH))
    assert np.abs(np.asarray(after.memory.values) - np.asarray(other.memory.values)).max() < 1e-6
    assert np.abs(np.asarray(after.memory.values) - np.asarray(state.memory.values)).max() > 1e-3
