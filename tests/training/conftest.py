"""Small corpora for training."""

import numpy as np
import pytest

from charlm.text.cache import TokenCache
from charlm.text.prepare import prepare


@pytest.fixture
def corpus_of(tmp_path):
    """A function from a text to its prepared corpus."""
    def make(text, **options):
        path = tmp_path / "corpus.txt"
        path.write_text(text, encoding="utf-8", newline="")
        return prepare([str(path)], **options)
    return make


@pytest.fixture
def cache_of():
    """A function from ids to a token cache."""
    def make(ids):
        ids = list(ids)
        return TokenCache([np.array(ids)], vocabulary_size=max(ids) + 1)
    return make
