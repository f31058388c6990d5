"""Options made from configuration fields, their environment variables, and the sections of `train --help`."""

import dataclasses
import re

import click
import pytest
from click.testing import CliRunner

from charlm.cli import options
from charlm.cli.main import VERBS, cli
from charlm.config import CorpusConfig, ModelConfig, SamplingConfig, TrainingConfig, options_of
from charlm.training.options import TrainingOptions


def verb(name):
    return cli.get_command(click.Context(cli, info_name="charlm"), name)


def parsed(command, *words, **env):
    """The values that a command would be called with."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        context = command.make_context(command.name, list(words), auto_envvar_prefix=f"CHARLM_{command.name.upper()}")
        return context.params


@pytest.mark.parametrize("name", VERBS)
def test_every_long_spelling_in_the_help_has_its_variable(name):
    command = verb(name)
    variables = {variable for param in command.params if isinstance(param, options.Option)
                 for variable, _ in param.variables(f"CHARLM_{name.upper()}")}
    columns = [line[2:].split("  ")[0] for line in command.get_help(click.Context(command, info_name=name)).splitlines()
               if re.match(r"  (-\w, )*--[\w-]+( |$|,)", line) and not line.startswith("  --labels)")]
    shown = {word.strip(",") for column in columns for word in column.split() if word.startswith("--")} - {"--help"}
    assert shown and {f"CHARLM_{name.upper()}_{word[2:].replace('-', '_').upper()}" for word in shown} <= variables


@pytest.mark.parametrize("variable", ["CHARLM_SAMPLE_TEMP", "CHARLM_SAMPLE_TEMPERATURE"])
def test_both_spellings_of_the_temperature_are_read(variable):
    assert parsed(verb("sample"), **{variable: "0.25"})["temperature"] == 0.25


@pytest.mark.parametrize("words, expected", [((), ("e t",)), (("--stop", "x", "--stop", "y z"), ("x", "y z"))])
def test_a_repeatable_option_takes_one_value_from_its_variable(words, expected):
    assert parsed(verb("sample"), *words, CHARLM_SAMPLE_STOP="e t")["stop"] == expected


@pytest.mark.parametrize("env, expected", [
    ({}, None), ({"CHARLM_TRAIN_ATTENTION": "1"}, True), ({"CHARLM_TRAIN_ATTENTION": "no"}, False),
    ({"CHARLM_TRAIN_NO_ATTENTION": "1"}, False), ({"CHARLM_TRAIN_NO_ATTENTION": "false"}, True)])
def test_a_switch_is_set_by_the_variables_of_both_its_spellings(env, expected):
    assert parsed(verb("train"), "x", **env)["attention"] is expected


def test_an_option_on_the_command_line_wins_over_its_variable():
    assert parsed(verb("sample"), "--temp", "2", CHARLM_SAMPLE_TEMP="0.25")["temperature"] == 2
    assert parsed(verb("sample"), CHARLM_SAMPLE_TEMP="")["temperature"] == 1


def warnings(**env):
    context = click.Context(cli, info_name="charlm")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        return list(options.unread_variables(cli, context))


def test_an_unread_variable_causes_a_warning_with_the_nearest_one():
    known = {"CHARLM_MODEL": "x", "CHARLM_TRAIN_STEPS": "3", "CHARLM_DEBUG": "1", "CHARLM_TEST_DATA": "x"}
    assert warnings(**known) == []
    assert warnings(**known, CHARLM_SAMPLE_TMP="1") == [
        "warning: no option reads CHARLM_SAMPLE_TMP; did you mean CHARLM_SAMPLE_TEMP?"]


def test_a_command_gets_a_sampling_config_from_its_flags():
    seen = []

    @click.command("draw")
    @options.sampling_options
    def draw(sampling):
        seen.append(sampling)

    assert CliRunner().invoke(draw, ["--temp", "0.5", "--top-k", "3"]).exit_code == 0
    assert CliRunner().invoke(draw, []).exit_code == 0
    assert seen == [SamplingConfig(temperature=0.5, top_k=3), SamplingConfig()]


@pytest.mark.parametrize("config, name", [(TrainingOptions, "train"), (CorpusConfig, "train"),
                                          (SamplingConfig, "sample")])
def test_every_field_with_a_flag_is_an_option_of_its_command(config, name):
    params = {param.name: param for param in verb(name).params}
    for field, its in options_of(config):
        if its.is_settable:
            assert its.flag in params[field.name].opts and its.help in params[field.name].help


def test_every_group_of_the_training_options_is_a_section_of_its_help():
    text = verb("train").get_help(click.Context(verb("train"), info_name="train"))
    titles = [line[:-1] for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles[:7] == ["Task", "Tokens", "Network", "Run", "Optimizer", "Resuming", "Machine"]
    assert {its.group for config in (ModelConfig, TrainingConfig, CorpusConfig) for _, its in options_of(config)
            if its.is_settable and its.help} <= set(options.GROUPS)


def test_a_new_field_becomes_an_option_with_its_bounds_and_help():
    @dataclasses.dataclass(frozen=True)
    class Config:
        colour: "int" = dataclasses.field(default=3, metadata={"option": options.ConfigOption(
            "--colour", "Colour of the text.", low=1, high=7)})

    @click.command("paint")
    @options.config_options(Config, "config")
    def paint(config):
        click.echo(config.colour)

    assert CliRunner().invoke(paint, ["--colour", "5"]).output == "5\n"
    assert "Colour of the text.  [default: 3]" in CliRunner().invoke(paint, ["--help"]).output
