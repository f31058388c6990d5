"""A model in the place of a text is refused, however it comes; a text that only speaks of models is not."""

import functools
import gzip
import io
import sys

import numpy as np
import pytest

from charlm.config import ModelConfig
from charlm.errors import CorpusError
from charlm.modelfile import Model, save
from charlm.text import reading as corpus
from charlm.text.reading import Text, byte_chunks
from charlm.text.tokenizers.registry import train


@pytest.fixture
def model(tmp_path):
    """A model file's path."""
    config = ModelConfig(3, cell="rnn", num_layers=1, embedding_size=2, hidden_size=2)
    weights = {name: np.zeros(shape, np.float32) for name, shape in config.parameter_shapes().items()}
    save(str(tmp_path / "small.charlm"), Model(config, train("char", ["ab"], vocabulary_size=None), weights, {}))
    return tmp_path / "small.charlm"


def read_all(path):
    return "".join(Text(str(path), "replace"))


def test_a_model_is_no_text(model):
    with pytest.raises(CorpusError, match="small.charlm: is a model, not a text; name a model with -m"):
        read_all(model)


def test_nothing_of_a_model_is_handed_over(model):
    with pytest.raises(CorpusError, match="is a model"):
        Text(str(model)).head()
    with open(model, "rb") as stream, pytest.raises(CorpusError, match="is a model"):
        next(byte_chunks(stream, str(model)))


def test_a_packed_model_is_no_text_either(model, tmp_path):
    (tmp_path / "small.gz").write_bytes(gzip.compress(model.read_bytes()))
    with pytest.raises(CorpusError, match="is a model"):
        read_all(tmp_path / "small.gz")


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 33, 34, 35, 100])
def test_a_model_that_comes_in_small_pieces_is_no_text_either(model, monkeypatch, size):
    monkeypatch.setattr(corpus, "byte_chunks", functools.partial(byte_chunks, size=size))
    with pytest.raises(CorpusError, match="is a model"):
        read_all(model)


class Dribbling:
    """A pipe that hands over these pieces."""

    def __init__(self, *pieces):
        self._pieces = list(pieces)

    def read1(self, size):
        return self._pieces.pop(0) if self._pieces else b""


@pytest.mark.parametrize("first", [1, 8, 20, 33, 34])
def test_a_model_whose_first_piece_is_short_is_no_text_either(model, first):
    blob = model.read_bytes()
    with pytest.raises(CorpusError, match="is a model"):
        list(byte_chunks(Dribbling(blob[:first], blob[first:]), "pipe"))


def test_a_model_from_standard_input_is_no_text_either(model, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(model.read_bytes())))
    with pytest.raises(CorpusError, match="standard input: is a model"):
        list(Text("-"))


@pytest.mark.parametrize("text", ['{"__metadata__":{"charlm":"x"}}', '1234567{"__metadata__":{"charlm":', '123456789{"__metadata__":{"charlm":',
                                  '12345678{"__metadata__":{"other":1}}', '12345678{"__metadata__":{"charlm"'])
def test_text_that_is_nearly_a_model_is_one(tmp_path, text):
    (tmp_path / "text.txt").write_text(text)
    assert read_all(tmp_path / "text.txt") == text


def test_every_piece_of_a_text_is_handed_over_as_it_came():
    pieces = [b"a", b"bc" * 30, b"d" * 3, b"e"]
    assert list(byte_chunks(Dribbling(*pieces), "pipe")) == pieces
