"""Small heads with random weights, and hidden states and tokens that have something to be learned."""

import numpy as np
import pytest

from charlm.adaptation.adapter import Adapter
from charlm.config import AdaptationSettings


class Task:
    """A head (V, H), and states (T, H) with the tokens (T,) after them, which repeat every few tokens."""

    def __init__(self, length=300, size=9, width=7, period=23):
        rng = np.random.default_rng(0)
        self.head = rng.standard_normal((size, width)).astype(np.float32)
        self.bias = rng.standard_normal(size).astype(np.float32)
        self.tokens = np.tile(rng.integers(0, size, period), length // period + 1)[:length]
        self.states = rng.integers(-127, 128, (length, width))

    def adapter(self, lanes=1, **settings):
        return Adapter(self.head, self.bias, AdaptationSettings(**settings), lanes)


@pytest.fixture
def task():
    """Return a task of 300 tokens."""
    return Task()


@pytest.fixture
def make_task():
    """Return the class of tasks."""
    return Task
