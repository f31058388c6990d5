"""Messages that help to correct a command: which option is wrong, and what to type instead."""

import shlex

import pytest

from charlm.cli.exit_codes import message
from tests.helpers.runners import error_line, run_in_process


@pytest.mark.parametrize("prompt", [["ROMEO:"], ["hello world"], ["it's  late", "$HOME"], ["--", "-x"]])
def test_a_prompt_without_its_option_is_answered_with_that_option(prompt):
    error = error_line(run_in_process("sample", *prompt), 2)
    suggested = error.partition("give the prompt with ")[2].partition(" (charlm sample --help")[0]
    assert shlex.split(suggested) == ["-p", " ".join(word for word in prompt if word != "--")]


def test_a_model_without_its_option_is_answered_with_m():
    assert "name the model with -m 'my novel.charlm' (" in error_line(run_in_process("sample", "my novel.charlm"), 2)
    assert "give the prompt with -p 'The riv' (" in error_line(run_in_process("next", "The", "riv"), 2)


def test_a_model_name_without_its_ending_is_completed(model, tmp_path):
    (tmp_path / "novel.charlm").write_bytes(model.read_bytes())
    assert "did you mean novel.charlm?" in error_line(run_in_process("sample", "-m", "novel"), 3)


def test_an_option_of_another_verb_is_answered_with_that_verb():
    assert "'--remember' of sample; train has one (" in error_line(run_in_process("sample", "--remember"), 2)
    assert "'--jsonl' of train; sample, score, classify," in error_line(run_in_process("train", "--jsonl"), 2)


def test_a_wrong_value_of_a_variable_is_reported_with_the_variable():
    done = run_in_process("sample", env={"CHARLM_SAMPLE_TEMP": "warm"})
    assert "must be a number, not 'warm', set by CHARLM_SAMPLE_TEMP (" in error_line(done, 2)
    assert "not 'hot' (" in error_line(run_in_process("sample", "--temp", "hot"), 2)


@pytest.mark.parametrize("verb, words, reason", [
    ("score", ["-m"], "'-m' requires an argument"),
    ("score", ["--jsonl=3"], "'--jsonl' does not take a value"),
    ("score", ["--levl", "token"], "No such option '--levl'"),
    ("score", ["--level", "verse"], "'verse' is not one of"),
    ("compress", ["one", "two"], "unexpected extra argument (two)"),
    ("train", [], "Missing argument 'CORPUS...'"),
    ("eval", ["--window"], "'--window' requires an argument"),
    ("filter", [], "give --max-bpc, --min-bpc or --keep"),
    ("sample", ["-p", "a", "-f", "b"], "not both")])
def test_every_usage_error_names_the_help_of_its_verb(verb, words, reason):
    error = error_line(run_in_process(verb, *words), 2)
    assert reason in error and error.endswith(f" (charlm {verb} --help lists the options)\n")


@pytest.mark.parametrize("words", [["--foo"], ["-m", "x", "score"], ["dance"], ["help", "dance"]])
def test_a_usage_error_before_the_verb_names_the_general_help(words):
    assert error_line(run_in_process(*words), 2).endswith(" (charlm --help lists the commands)\n")


@pytest.mark.parametrize("words, reason", [
    (["sample", "--seed", "1.5"], "--seed must be a whole number from 0, not '1.5'"),
    (["fill", "--seed", "1.5"], "--seed must be a whole number from 0, not '1.5'"),
    (["train", "x", "--seed", "1.5"], "--seed must be a whole number"),
    (["sample", "--seed", "-1"], "--seed must be a whole number from 0, not -1"),
    (["sample", "-n", "1 is not 2"], "-n/--length must be a whole number from 0, not '1 is not 2'"),
    (["score", "--threads", "0"], "--threads must be a whole number from 1 to 1024, not 0"),
    (["sample", "--top-p", "most"], "--top-p must be a number, not 'most'")])
def test_a_wrong_number_is_answered_with_the_right_range(words, reason):
    assert f"error: {reason}" in error_line(run_in_process(*words), 2)


@pytest.mark.parametrize("words", [
    ["sample"], ["score"], ["filter", "--max-bpc", "1"], ["classify"], ["translate"], ["fill"], ["eval", "text"],
    ["tokenize"], ["detokenize"], ["info"]])
def test_a_model_that_is_named_twice_is_refused_by_every_verb(words):
    error = error_line(run_in_process(*words, "-m", "a.charlm", "--model=b.charlm"), 2)
    assert "-m/--model is given 2 times; give it once" in error


def test_a_model_in_the_environment_is_one_path_even_with_spaces(model, tmp_path):
    path = tmp_path / "my own model.charlm"
    path.write_bytes(model.read_bytes())
    assert run_in_process("info", env={"CHARLM_MODEL": str(path)}).check().text.startswith(f"file\t{path}\n")
    other = run_in_process("info", "-m", model, env={"CHARLM_MODEL": "missing"}).check()
    assert other.text.startswith(f"file\t{model}\n")


def test_spaces_in_a_message_are_kept_so_that_it_can_be_pasted(capsys):
    message("use 'a  b'\n  or\u2028c")
    assert capsys.readouterr().err == "charlm: use 'a  b' or c\n"
