"""Files of models that remember their text: read back to the bit, or refused."""

import dataclasses

import numpy as np
import pytest

from charlm.container import pack
from charlm.errors import ModelFileError
from charlm.modelfile import describe, load, save
from charlm.text.remembered import LENGTH, TENSOR, Remembered
from charlm.text.rolling_hashes import chunk_hashes, rolling_hashes
from tests.helpers.models import constant_model

TEXT = "it was a bright cold day in april, and the clocks were striking thirteen"


@pytest.fixture
def model():
    kept = Remembered.of(lambda: chunk_hashes([TEXT], LENGTH))
    return dataclasses.replace(constant_model(0.5), remembered=kept)


def test_a_filter_is_read_back_with_its_model(tmp_path, model):
    save(str(tmp_path / "one"), model)
    again = load(str(tmp_path / "one"))
    assert again.remembered.contains(rolling_hashes(TEXT, LENGTH)).all()
    assert again.remembered.describe() == "57 sequences of 16 characters, 72 bytes" == model.remembered.describe()
    save(str(tmp_path / "two"), again)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_places_in_the_filter_are_those_of_the_description(model):
    """The reference is written from docs/model-file.md, in whole numbers without an upper limit."""
    word, bits, expected = 2 ** 64, 8 * len(model.remembered.tensor), set()
    for start in range(len(TEXT) - 15):
        mixed = sum((ord(TEXT[start + k]) + 1) * pow(0x9E3779B97F4A7C15, k, word) for k in range(16)) % word
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
            mixed = (mixed ^ mixed >> shift) * factor % word
        expected |= {(mixed + i * (mixed >> 32 | 1)) % word % bits for i in range(5)}
    assert {*np.flatnonzero(np.unpackbits(model.remembered.tensor, bitorder="little"))} == expected


@pytest.mark.parametrize("metadata, tensor", [
    ({"remembered": None}, np.zeros(9, np.uint8)), ({}, None), ({}, np.zeros(0, np.uint8)),
    ({}, np.zeros(9, np.uint32)), ({}, np.zeros((3, 3), np.uint8)),
    ({"remembered": {"length": 16}}, np.zeros(9, np.uint8)),
    ({"remembered": "all"}, np.zeros(9, np.uint8))])
def test_a_filter_that_does_not_fit_its_description_is_refused(tmp_path, model, metadata, tensor):
    table, arrays = describe(model)
    arrays = {**arrays, TENSOR: tensor} if tensor is not None else \
        {name: values for name, values in arrays.items() if name != TENSOR}
    (tmp_path / "file").write_bytes(pack(table | metadata, arrays))
    with pytest.raises(ModelFileError, match="remember|tensor|metadata"):
        load(str(tmp_path / "file"))
