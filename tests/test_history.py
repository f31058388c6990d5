"""The history of a run: thinned evenly to a constant size, the same after a resumption, read back or refused.

Not here: what a training records (training/test_run_history.py), and where a model comes from (test_provenance.py).
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.container import pack
from charlm.errors import ModelFileError
from charlm.history import (
    FORMS,
    LAYER_FORMS,
    MAX_POINTS,
    MAX_SAMPLE_BYTES,
    History,
    Recorder,
    check_forms,
    max_layer_rows,
)
from charlm.modelfile import content_digest, forms_of, load, save
from charlm.provenance import Provenance
from charlm.thinning import Thinned
from tests.helpers.models import constant_model, parts_of

LAYERS = ("embedding", "decoder 1", "head")


def recorder_of(updates, *, validations=0, error_rate=None, layers=LAYERS):
    """Return the recorder of a run whose loss falls from 2 to 1."""
    recorder = Recorder()
    for step in range(1, updates + 1):
        recorder.add_update(step, loss=1 + 1 / step, gradient_norm=0.5, learning_rate=0.01, seconds=step / 8,
                            layer_norms={name: number / step for number, name in enumerate(layers)})
    for number in range(1, validations + 1):
        step = number * updates // validations
        recorder.add_validation(step, loss=1.5, bits_per_character=2.5, error_rate=error_rate)
        recorder.add_sample(step, f"sample {number} é")
    return recorder


def same(one, other):
    return all(np.array_equal(values, other.tensors()[name]) for name, values in one.tensors().items())


@given(st.integers(1, 400), st.integers(2, 9))
def test_thinning_keeps_the_first_and_the_last_and_is_even(count, capacity):
    thinned = Thinned(capacity, lambda one, other, number: other)
    for number in range(count):
        thinned.add(number)
    gaps = np.diff(thinned.rows)
    assert thinned.rows[0] == 0 and thinned.rows[-1] == count - 1
    assert min(count, capacity / 2) <= len(thinned.rows) <= capacity
    assert len(set(gaps[:-1])) <= 1 and (len(gaps) < 2 or 0 < gaps[-1] <= gaps[0])


@given(st.lists(st.floats(0, 9), min_size=1, max_size=100), st.integers(2, 9))
def test_a_row_is_the_mean_of_its_stretch(values, capacity):
    thinned = Thinned(capacity, lambda one, other, number: one + (other - one) / number)
    for value in values:
        thinned.add(value)
    stretch = next(size for size in (1 << power for power in range(9)) if 1 - -(len(values) - 1) // size <= capacity)
    means = [np.mean(values[start:start + stretch]) for start in range(1, len(values), stretch)]
    assert thinned.rows == pytest.approx([values[0], *means])


@pytest.mark.parametrize("layers", [3, 4, 12])
def test_a_long_run_has_at_most_a_thousand_points_and_sixty_kilobytes(layers):
    names = [f"encoder {number}" for number in range(layers)]
    recorder = recorder_of(2 * max(max_layer_rows(names), MAX_POINTS), validations=300, error_rate=0.25, layers=names)
    for step in range(20_001, 20_100):
        recorder.add_sample(step, "\N{SNOWMAN}" * 1000)
    model = constant_model(0.5)
    story = dataclasses.replace(model, history=recorder.history(), provenance=Provenance(
        "0.2.0", "2026-01-01T00:00:00Z", "ж" * 1000, ("ж" * 250, "ж" * 250), "ж" * 255, "0" * 64, 1e9))
    assert max_layer_rows(names) / 2 <= len(recorder.history().layer_steps) <= max_layer_rows(names) <= MAX_POINTS
    assert MAX_POINTS / 2 <= len(recorder.history().steps) <= MAX_POINTS
    assert len(pack(*parts_of(story))) - len(pack(*parts_of(model))) <= 60_000


def test_a_sample_is_cut_between_characters():
    recorder = Recorder()
    recorder.add_sample(1, "é" * MAX_SAMPLE_BYTES)
    recorder.add_sample(2, "x" + "é" * MAX_SAMPLE_BYTES)
    assert [len(sample.text) for sample in recorder.history().samples] == [MAX_SAMPLE_BYTES // 2] * 2


def test_bytes_of_a_sample_that_are_not_utf8_are_marked():
    recorder = Recorder()
    recorder.add_sample(1, "a\udcffb")
    assert recorder.history().samples == ((1, "a\ufffdb"),)


def test_a_validation_that_is_not_finite_is_left_out():
    recorder = recorder_of(1)
    recorder.add_validation(1, loss=float("nan"), bits_per_character=float("nan"), error_rate=None)
    assert len(recorder.history().held_out_steps) == 0


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_restored_recorder_goes_on_to_the_same_bits(before, after):
    def grown(recorder, start, stop):
        for step in range(start + 1, stop + 1):
            recorder.add_update(step, loss=1 / step, gradient_norm=step / 7, learning_rate=0.1, seconds=step / 3,
                                layer_norms={"embedding": step / 9, "decoder 1": 1 / step})
        return recorder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlm.history.MAX_POINTS", 8)
        patch.setattr("charlm.history.MAX_LAYER_BYTES", 100)
        whole = grown(Recorder(), 0, before + after)
        cut = grown(Recorder(), 0, before)
        cut = Recorder.restore(History.from_tensors(cut.history().tensors()), cut.counts())
        assert same(grown(cut, before, before + after).history(), whole.history())
        assert cut.counts() == whole.counts()


def test_counts_of_another_history_are_refused():
    recorder = recorder_of(9)
    with pytest.raises(ValueError, match="9 to|thinned to"):
        Recorder.restore(recorder.history(), recorder.counts() | {"points": 8})


def test_a_model_keeps_its_history_to_the_bit(tmp_path):
    path = str(tmp_path / "file.charlm")
    model = dataclasses.replace(constant_model(0.5), history=recorder_of(3000, validations=7, error_rate=0.5).history())
    save(path, model)
    again = load(path).history
    assert same(again, model.history) and again.samples == model.history.samples
    assert again.samples[-1] == (3000, "sample 7 é") and again.validations()[0].error_rate == 0.5


def test_gradient_norms_of_layers_are_kept_by_name_if_there_are_any(tmp_path):
    path = str(tmp_path / "file.charlm")
    for layers in (LAYERS, ()):
        save(path, dataclasses.replace(constant_model(0.5), history=recorder_of(4, layers=layers).history()))
        history = load(path).history
        assert history.layer_names == layers and set(history.to_json()["layer_norms"]) == set(layers)
    assert recorder_of(4).history().to_json()["layer_norms"]["decoder 1"] == [1, 0.5, 0.333333, 0.25]
    assert recorder_of(4).history().layers()[1] == (2, (0, 0.5, 1))


@pytest.mark.parametrize("count", [1, 4, 70, 1000])
def test_gradient_norms_of_any_number_of_layers_fit(count):
    rows = max_layer_rows([f"decoder {number}" for number in range(count)])
    assert 2 <= rows <= MAX_POINTS and (rows == 2 or rows * (4 + 4 * count) <= 16_000)


def test_a_run_of_an_older_checkpoint_records_layers_from_there_on():
    older = recorder_of(5, layers=())
    counts = {name: count for name, count in older.counts().items() if name != "layers"}
    recorder = Recorder.restore(older.history(), counts)
    recorder.add_update(6, loss=1, gradient_norm=1, learning_rate=1, seconds=6, layer_norms={"head": 2.0})
    assert recorder.history().layers() == [(6, (2.0,))] and len(recorder.history().steps) == 6


def test_content_digest_ignores_times_and_provenance_only():
    model = dataclasses.replace(constant_model(0.5), history=recorder_of(9).history())
    repeated = dataclasses.replace(model, history=model.history.without_seconds(), provenance=Provenance("0.2.0"))
    other = dataclasses.replace(model, history=recorder_of(8).history())
    assert content_digest(repeated) == content_digest(model)
    assert len({content_digest(one) for one in (model, other, constant_model(0.25), constant_model(0.5))}) == 4


def test_json_has_every_column_in_plain_numbers():
    values = recorder_of(2, validations=1).history().to_json()
    assert values["steps"] == [1, 2] and values["loss"] == [2.0, 1.5] and values["held_out_loss"] == [1.5]
    assert values["held_out_error_rate"] == [] and values["samples"] == [{"step": 2, "text": "sample 1 é"}]


# Refusals


STEPS, LOSS, NAMES, NORMS = (f"history.{name}" for name in ("steps", "loss", "layers.names", "layers.norms"))
INVALID = {
    "steps in disorder": {STEPS: [2, 1, 3]}, "a step twice": {STEPS: [1, 1, 3]}, "step 0": {STEPS: [0, 1, 2]},
    "steps too few": {STEPS: [1, 2]}, "a loss too many": {LOSS: [1, 1, 1, 1]}, "a negative loss": {LOSS: [1, -1, 1]},
    "a negative rate": {"history.learning_rate": [0.1, -0.1, 0.1]}, "time backwards": {"history.seconds": [1, 3, 2]},
    "one time only": {"history.seconds": [1]}, "errors beyond all": {"history.held_out_error_rate": [1.5, 0]},
    "errors too few": {"history.held_out_error_rate": [0.5]}, "no validation": {"history.held_out_steps": []},
    "bytes too few": {"history.samples.text": [97]}, "bytes too many": {"history.samples.text": [97] * 99},
    "bytes that are not UTF-8": {"history.samples.text": [255] * 22}, "a sample less": {"history.samples.steps": [1]},
    "a sample of 2^32 bytes": {"history.samples.lengths": [2 ** 32 - 1, 23]},
    "a text too long": {"history.samples.lengths": [0, 2000], "history.samples.text": [97] * 2000},
    "too many points": {STEPS: range(1, 1002), LOSS: [1] * 1001}, "a table": {LOSS: [[1, 1, 1]]},
    "too many bytes": {"history.samples.text": [97] * 20_000}, "a layer twice": {NAMES: [*b"head\nhead\nx"]},
    "a layer with an escape": {NAMES: [*b"a\nb\n\x1b[2J"]}, "a layer that is not ASCII": {NAMES: [*b"a\nb\n\xff"]},
    "a layer without a name": {NAMES: [*b"a\n\nb"]}, "a layer too many": {NAMES: [*b"a\nb\nc\nd"]},
    "a norm too few": {NORMS: [1] * 8}, "a negative norm": {NORMS: [-1] * 9},
    "a norm that is no number": {NORMS: [np.nan] * 9}, "layers in disorder": {"history.layers.steps": [1, 3, 2]}}


def invalid_tensors(changes):
    tensors = recorder_of(3, validations=2, error_rate=0.5).history().tensors()
    return tensors | {name: np.array(values, tensors[name].dtype) for name, values in changes.items()}


@pytest.mark.parametrize("name", INVALID)
def test_an_impossible_history_is_refused(tmp_path, name):
    metadata, tensors = parts_of(constant_model(0.5))
    (tmp_path / "file.charlm").write_bytes(pack(metadata | {"history": True}, tensors | invalid_tensors(INVALID[name])))
    with pytest.raises(ModelFileError, match="history|samples"):
        load(str(tmp_path / "file.charlm"))


def test_the_unchanged_history_of_these_tests_is_accepted(tmp_path):
    metadata, tensors = parts_of(constant_model(0.5))
    (tmp_path / "file.charlm").write_bytes(pack(metadata | {"history": True}, tensors | invalid_tensors({})))
    assert len(load(str(tmp_path / "file.charlm")).history.samples) == 2


@pytest.mark.parametrize("name", [*FORMS, *LAYER_FORMS])
def test_no_tensor_of_a_history_can_be_left_out_or_changed_in_type(name):
    tensors = recorder_of(3).history().tensors()
    check_forms(forms_of(tensors))
    for forms in ({**forms_of(tensors), name: ("F64", (3,))},
                  {one: form for one, form in forms_of(tensors).items() if one != name}):
        with pytest.raises(ModelFileError):
            check_forms(forms)


@pytest.mark.parametrize("value", [None, 1, [], {}, "yes"], ids=str)
def test_metadata_names_a_history_or_none(tmp_path, value):
    metadata, tensors = parts_of(constant_model(0.5))
    (tmp_path / "file.charlm").write_bytes(pack(metadata | {"history": value}, tensors))
    with pytest.raises(ModelFileError, match="missing or unknown parts"):
        load(str(tmp_path / "file.charlm"))


def test_a_history_longer_than_any_is_refused_before_it_is_read(tmp_path, monkeypatch):
    metadata, tensors = parts_of(constant_model(0.5))
    grown = {f"history.{name}": np.arange(1, MAX_POINTS + 2).astype("u4" if name == "steps" else "f4")
             for name in ("steps", "loss", "gradient_norm", "learning_rate", "seconds")}
    path = tmp_path / "file.charlm"
    path.write_bytes(pack(metadata | {"history": True}, tensors | invalid_tensors({}) | grown))
    monkeypatch.setattr("charlm.modelfile.read_tensor", lambda *_: pytest.fail("a tensor was read"))
    with pytest.raises(ModelFileError, match="more than 1000 values of history"):
        load(str(path))
