"""Configurations name every parameter, survive JSON, and refuse invalid values naming the flag."""

import dataclasses
import itertools
import json

import pytest

from charlm.config import ENCODERS, GATES, OPTIMIZERS, ModelConfig, SamplingConfig, TrainingConfig
from charlm.errors import OptionError, UsageError
from tests.helpers.pairwise import grid

MODEL = {"vocabulary_size": 5, "cell": "gru", "nonlinearity": "relu", "num_layers": 3, "embedding_size": 4,
         "hidden_size": 4, "tied": True, "encoder": "shared", "source_vocabulary_size": 7, "attention": True,
         "window": 0,
         "labels": 0}
SOURCES = [{"encoder": encoder, "attention": attention, "source_vocabulary_size": 7}
           for encoder, attention in itertools.product(ENCODERS, (False, True))]
WINDOWS = [{"encoder": encoder, "attention": attention, "source_vocabulary_size": 5, "window": 8}
           for encoder, attention in itertools.product(("stacked", "bidirectional"), (False, True))]
ARCHITECTURES = [{}, *SOURCES, *WINDOWS]
NAN, INFINITY = float("nan"), float("inf")


def test_an_lstm_of_two_layers_has_these_parameters():
    config = ModelConfig(5, cell="lstm", num_layers=2, embedding_size=3, hidden_size=4)
    assert config.parameter_shapes() == {
        "embedding.weight": (5, 3),
        "decoder.0.weight_ih_l0": (16, 3), "decoder.0.weight_hh_l0": (16, 4),
        "decoder.0.bias_ih_l0": (16,), "decoder.0.bias_hh_l0": (16,),
        "decoder.1.weight_ih_l0": (16, 4), "decoder.1.weight_hh_l0": (16, 4),
        "decoder.1.bias_ih_l0": (16,), "decoder.1.bias_hh_l0": (16,),
        "head.weight": (5, 4), "head.bias": (5,)}
    assert config.parameter_count() == 15 + (48 + 64 + 32) + (64 + 64 + 32) + 20 + 5


def test_a_bidirectional_encoder_with_attention_adds_these_parameters():
    config = ModelConfig(5, cell="gru", num_layers=2, embedding_size=3, hidden_size=4, encoder="bidirectional",
                         source_vocabulary_size=7, attention=True)
    shapes, decoder = config.parameter_shapes(), dataclasses.replace(
        config, encoder="shared", source_vocabulary_size=0, attention=False).parameter_shapes()
    layers = {f"encoder.layers.{layer}.{direction}.{name}": shape
              for layer, width in ((0, 3), (1, 8)) for direction in (0, 1)
              for name, shape in (("weight_ih_l0", (12, width)), ("weight_hh_l0", (12, 4)),
                                  ("bias_ih_l0", (12,)), ("bias_hh_l0", (12,)))}
    assert shapes == decoder | layers | {
        "encoder.embedding.weight": (7, 3), "bridge.weight": (8, 8), "bridge.bias": (8,),
        "context.query.weight": (4, 4), "context.key.weight": (4, 8), "context.empty": (8,),
        "context.merge.weight": (4, 12), "context.merge.bias": (4,)}


@pytest.mark.parametrize("architecture, cell, tied", grid(architecture=ARCHITECTURES, cell=list(GATES), tied=[False,
    True]))
def test_parameters_are_those_of_the_torch_network(architecture, cell, tied):
    from charlm.nn.network import Network
    config = ModelConfig(5, cell=cell, num_layers=2, embedding_size=4 if tied else 3, hidden_size=4, tied=tied,
                         **architecture)
    network = Network(config)
    shapes = {name: tuple(values.shape) for name, values in network.named_parameters()}
    if tied:                                                # torch names a shared tensor once, too
        assert network.head.weight is None
    assert shapes == config.parameter_shapes()
    assert config.parameter_count() == sum(values.numel() for values in network.parameters())


@pytest.mark.parametrize("cell, parts", [("rnn", 1), ("gru", 1), ("lstm", 2)])
def test_the_bridge_initialises_every_state_of_every_layer(cell, parts):
    config = ModelConfig(5, cell=cell, num_layers=3, hidden_size=4, encoder="stacked", source_vocabulary_size=7)
    assert config.parameter_shapes()["bridge.weight"] == (3 * parts * 4, 4)


def test_only_a_source_with_a_separate_encoder_needs_a_bridge():
    configs = [ModelConfig(5, **architecture) for architecture in ARCHITECTURES]
    assert [config.has_bridge for config in configs] == [False] + [False] * 2 + [True] * 4 + [False] * 4
    assert [config.has_source for config in configs] == [False] + [True] * 10


@pytest.mark.parametrize("cell, rows", [("rnn", 4), ("gru", 12), ("lstm", 16)])
def test_the_cell_decides_the_rows_of_a_recurrent_matrix(cell, rows):
    shapes = ModelConfig(5, cell=cell, hidden_size=4).parameter_shapes()
    assert shapes["decoder.0.weight_hh_l0"] == (rows, 4)


def test_a_tied_head_has_no_matrix():
    tied = ModelConfig(5, embedding_size=4, hidden_size=4, tied=True).parameter_shapes()
    free = ModelConfig(5, embedding_size=4, hidden_size=4).parameter_shapes()
    assert set(free) - set(tied) == {"head.weight"}


def test_the_description_names_cell_depth_width_and_parameters():
    config = ModelConfig(5, cell="rnn", nonlinearity="relu", embedding_size=256, hidden_size=256, tied=True)
    line = config.describe()
    assert all(part in line for part in ("rnn (relu)", "2x256", "embedding 256", "tied", "0.26 M"))
    assert "relu" not in ModelConfig(5, nonlinearity="relu").describe()


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_the_description_of_an_architecture_names_its_parts_in_one_line(architecture):
    line = ModelConfig(5, num_layers=3, hidden_size=20, **architecture).describe()
    encoder, window = architecture.get("encoder"), architecture.get("window")
    assert "\n" not in line and line.isprintable()
    assert ("encoder" in line) == ("decoder" in line) == bool(architecture)
    assert (f"{encoder} encoder" in line) == bool(architecture)
    assert line.count("lstm 3x20") == (2 if encoder in ("stacked", "bidirectional") else 1)
    assert ("attention" in line) == architecture.get("attention", False)
    assert ("fixed context" in line) == (not architecture.get("attention", True))
    assert (f"last {window} tokens" in line) == bool(window)


def test_different_architectures_have_different_descriptions():
    assert len({ModelConfig(5, **architecture).describe() for architecture in ARCHITECTURES}) == len(ARCHITECTURES)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_every_architecture_survives_json(architecture):
    config = ModelConfig(5, **architecture)
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_model_survives_json():
    config = ModelConfig.from_json(MODEL)
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.to_json() == MODEL


@pytest.mark.parametrize("name", MODEL)
def test_a_missing_entry_is_refused(name):
    with pytest.raises(UsageError, match="missing"):
        ModelConfig.from_json({key: value for key, value in MODEL.items() if key != name})


@pytest.mark.parametrize("values", [MODEL | {"colour": 1}, {}, None, [], "lstm", 5, list(MODEL.items())])
def test_other_entries_are_refused(values):
    with pytest.raises(UsageError):
        ModelConfig.from_json(values)


@pytest.mark.parametrize("name", [name for name in MODEL if name not in ("tied", "attention", "source_vocabulary_size",
    "window", "labels")])
def test_an_invalid_value_of_a_model_is_refused(name):
    for value in [None, True, 1.0, -1, 0, 2 ** 62, 10 ** 400, "", "5", [], [1], {}, NAN, INFINITY]:
        with pytest.raises(UsageError):
            ModelConfig.from_json(MODEL | {"tied": False} | {name: value})


@pytest.mark.parametrize("name, flag", [("source_vocabulary_size", "source vocabulary size"), ("window", "--bptt"),
                                        ("labels", "--labels")])
def test_an_invalid_size_of_an_optional_part_names_its_flag(name, flag):
    for value in [None, True, False, 1.0, -1, 2 ** 62, 10 ** 400, "", "5", [], [1], {}, NAN, INFINITY]:
        with pytest.raises(UsageError, match=f"^{name} "):
            ModelConfig.from_json(MODEL | {name: value})


@pytest.mark.parametrize("name", ["tied", "attention"])
def test_a_switch_must_be_true_or_false(name):
    for value in [0, 1, None, "true", []]:
        with pytest.raises(UsageError, match=f"^{name} must be true or false"):
            ModelConfig.from_json(MODEL | {name: value})


def test_tied_sizes_must_be_equal_and_both_flags_are_named():
    with pytest.raises(UsageError, match="--embedding 4 .*--hidden 8"):
        ModelConfig.from_json(MODEL | {"hidden_size": 8})


@pytest.mark.parametrize("encoder", ["stacked", "bidirectional"])
def test_an_encoder_without_a_source_is_refused_naming_its_flag(encoder):
    with pytest.raises(UsageError, match=f"^--encoder {encoder} "):
        ModelConfig(5, encoder=encoder)


def test_attention_without_a_source_is_refused_naming_a_flag_that_helps():
    with pytest.raises(UsageError, match="^--attention .*--bidirectional"):
        ModelConfig(5, attention=True)


@pytest.mark.parametrize("architecture", [
    {}, {"source_vocabulary_size": 5}, {"encoder": "stacked", "source_vocabulary_size": 6},
    {"encoder": "bidirectional", "source_vocabulary_size": 4}], ids=str)
def test_past_windows_need_a_separate_encoder_with_the_same_vocabulary(architecture):
    with pytest.raises(UsageError, match="^windows of past text "):
        ModelConfig(5, window=8, **architecture)


@pytest.mark.parametrize("name, flag, choices", [("cell", "--cell", GATES), ("encoder", "--encoder", ENCODERS),
                                                 ("nonlinearity", "--nonlinearity", ("tanh", "relu"))])
def test_an_unknown_choice_names_the_flag_and_all_choices(name, flag, choices):
    with pytest.raises(UsageError) as caught:
        ModelConfig(5, **{name: "transformer"})
    assert caught.value.for_command_line.startswith(f"{flag} must be one of ")
    assert str(caught.value).startswith(f"{name} ")
    assert "transformer" in str(caught.value)
    assert all(choice in str(caught.value) for choice in choices)


@pytest.mark.parametrize("name, flag", [("num_layers", "--layers"), ("embedding_size", "--embedding"),
                                        ("hidden_size", "--hidden"), ("vocabulary_size", "vocabulary size")])
def test_a_size_out_of_range_names_its_flag(name, flag):
    for value in (0, -3, 1 << 24):
        with pytest.raises(OptionError, match=f"^{name} ") as caught:
            ModelConfig(**({"vocabulary_size": 5} | {name: value}))
        assert caught.value.for_command_line.startswith(f"{flag} ")


@pytest.mark.parametrize("name, flag, wrong", [
    ("steps", "--steps", [0, -1, 1.5, True, None]), ("batch_size", "--batch-size", [0, -1, 2.0]),
    ("bptt", "--bptt", [0, -1]), ("optimizer", "--optimizer", ["sgd", ""]),
    ("learning_rate", "--lr", [-1e-3, NAN, INFINITY, "fast", None]),
    ("weight_decay", "--weight-decay", [-1, NAN, INFINITY]), ("warmup", "--warmup", [-1, 0.5]),
    ("dropout", "--dropout", [-0.1, 0.96, 1, NAN]), ("clip", "--clip", [-1, NAN, INFINITY]),
    ("clip_value", "--clip-value", [-1, NAN, INFINITY]),
    ("label_smoothing", "--label-smoothing", [-0.1, 0.96, 1, NAN, INFINITY, None, "much"]),
    ("patience", "--patience", [-1]),
    ("seed", "--seed", [-1, 1 << 63])])
def test_an_invalid_value_of_a_run_names_its_flag(name, flag, wrong):
    for value in wrong:
        with pytest.raises(OptionError, match=f"^{name} ") as caught:
            TrainingConfig(**({"steps": 10} | {name: value}))
        assert caught.value.for_command_line.startswith(f"{flag} ")


@pytest.mark.parametrize("values", [{}, {"learning_rate": 0, "dropout": 0, "clip": 0, "warmup": 0, "patience": 0},
                                    {"learning_rate": 1, "dropout": 0.95, "label_smoothing": 0.95,
                                     "seed": (1 << 63) - 1},
                                    *({"optimizer": name} for name in OPTIMIZERS)])
def test_ordinary_and_extreme_runs_are_accepted(values):
    config = TrainingConfig(steps=1, **values)
    assert all(getattr(config, name) == value for name, value in values.items())


@pytest.mark.parametrize("name, flag, wrong", [
    ("temperature", "--temp", [-0.1, NAN, INFINITY, -INFINITY, None]), ("top_k", "--top-k", [-1, 1.5, NAN]),
    ("top_p", "--top-p", [-0.1, 1.1, NAN]), ("min_p", "--min-p", [-0.1, 1.1, NAN]),
    ("repeat_penalty", "--repeat-penalty", [0, -1, NAN, INFINITY])])
def test_an_invalid_value_of_sampling_names_its_flag(name, flag, wrong):
    for value in wrong:
        with pytest.raises(OptionError, match=f"^{name} ") as caught:
            SamplingConfig(**{name: value})
        assert caught.value.for_command_line.startswith(flag)


@pytest.mark.parametrize("values", [{"temperature": 0}, {"top_k": 1 << 30}, {"top_p": 0}, {"min_p": 1}])
def test_ordinary_and_extreme_sampling_values_are_accepted(values):
    config = SamplingConfig(**values)
    assert all(getattr(config, name) == value for name, value in values.items())


@pytest.mark.parametrize("config", [ModelConfig(5), TrainingConfig(1), SamplingConfig()])
def test_configurations_cannot_be_changed(config):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(config)[0].name, 7)
