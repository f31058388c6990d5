"""A model file given as a text is refused however it is read; a text that resembles one is not."""

import functools
import gzip
import io
import sys

import numpy as np
import pytest

from charlm.config import ModelConfig
from charlm.errors import CorpusError
from charlm.modelfile import Model, save
from charlm.text import reading
from charlm.text.reading import Text, byte_chunks
from charlm.text.tokenizers.registry import train


@pytest.fixture
def model(tmp_path):
    """The path of a model file."""
    config = ModelConfig(3, cell="rnn", num_layers=1, embedding_size=2, hidden_size=2)
    weights = {name: np.zeros(shape, np.float32) for name, shape in config.parameter_shapes().items()}
    save(str(tmp_path / "small.charlm"), Model(config, train("char", ["ab"], vocabulary_size=None), weights, {}))
    return tmp_path / "small.charlm"


def read_all(path):
    return "".join(Text(str(path), "replace"))


def test_a_model_file_is_refused(model):
    with pytest.raises(CorpusError, match="small.charlm: is a model, not a text; name a model with -m"):
        read_all(model)


def test_no_bytes_of_a_model_are_returned(model):
    with pytest.raises(CorpusError, match="is a model"):
        Text(str(model)).head()
    with open(model, "rb") as stream, pytest.raises(CorpusError, match="is a model"):
        next(byte_chunks(stream, str(model)))


def test_a_compressed_model_is_refused(model, tmp_path):
    (tmp_path / "small.gz").write_bytes(gzip.compress(model.read_bytes()))
    with pytest.raises(CorpusError, match="is a model"):
        read_all(tmp_path / "small.gz")


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 33, 34, 35, 100])
def test_a_model_read_in_small_chunks_is_refused(model, monkeypatch, size):
    monkeypatch.setattr(reading, "byte_chunks", functools.partial(byte_chunks, size=size))
    with pytest.raises(CorpusError, match="is a model"):
        read_all(model)


class SlowPipe:
    """A pipe from which these chunks are read."""

    def __init__(self, *chunks):
        self._pieces = list(chunks)

    def read1(self, size):
        return self._pieces.pop(0) if self._pieces else b""


@pytest.mark.parametrize("first", [1, 8, 20, 33, 34])
def test_a_model_with_a_short_first_chunk_is_refused(model, first):
    blob = model.read_bytes()
    with pytest.raises(CorpusError, match="is a model"):
        list(byte_chunks(SlowPipe(blob[:first], blob[first:]), "pipe"))


def test_a_model_on_standard_input_is_refused(model, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(model.read_bytes())))
    with pytest.raises(CorpusError, match="standard input: is a model"):
        list(Text("-"))


@pytest.mark.parametrize("text", [
    '{"__metadata__":{"charlm":"x"}}', '1234567{"__metadata__":{"charlm":', '123456789{"__metadata__":{"charlm":',
    '12345678{"__metadata__":{"other":1}}', '12345678{"__metadata__":{"charlm"'])
def test_text_that_resembles_a_model_is_read(tmp_path, text):
    (tmp_path / "text.txt").write_text(text)
    assert read_all(tmp_path / "text.txt") == text


def test_chunks_of_a_text_are_returned_unchanged():
    chunks = [b"a", b"bc" * 30, b"d" * 3, b"e"]
    assert list(byte_chunks(SlowPipe(*chunks), "pipe")) == chunks
