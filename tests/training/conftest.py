"""Small corpora for training."""

import numpy as np
import pytest

from charlm.text.cache import TokenCache
from charlm.text.corpus import Text
from charlm.text.line_corpus import prepare_lines
from charlm.text.pair_corpus import prepare_pairs
from charlm.text.prepare import prepare


@pytest.fixture
def corpus_of(tmp_path):
    """A function from a text to its prepared corpus."""
    def make(text, **options):
        path = tmp_path / "corpus.txt"
        path.write_text(text, encoding="utf-8", newline="")
        return prepare([Text(str(path))], **options)
    return make


@pytest.fixture
def pairs_of(tmp_path):
    """A function from sources and targets to their prepared corpus; `validation` may be pairs, too."""
    def text(pairs, name):
        (tmp_path / name).write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8", newline="")
        return Text(str(tmp_path / name))

    def make(pairs, *, validation=None, **options):
        held_out = text(validation, "held.tsv") if isinstance(validation, list) else validation
        return prepare_pairs([text(pairs, "pairs.tsv")], validation=held_out, **options)
    return make


@pytest.fixture
def lines_of(tmp_path):
    """A function from lines, labelled where they are pairs, to their prepared corpus; `validation` may be lines, too."""
    def text(lines, name):
        written = [line if isinstance(line, str) else "\t".join(line) for line in lines]
        (tmp_path / name).write_text("".join(f"{line}\n" for line in written), encoding="utf-8", newline="")
        return Text(str(tmp_path / name))

    def make(lines, *, validation=None, **options):
        held_out = text(validation, "held.txt") if isinstance(validation, list) else validation
        return prepare_lines([text(lines, "lines.txt")], labelled=not isinstance(lines[0], str), validation=held_out, **options)
    return make


@pytest.fixture
def cache_of():
    """A function from ids to a token cache."""
    def make(ids):
        ids = list(ids)
        return TokenCache([np.array(ids)], vocabulary_size=max(ids) + 1)
    return make
