"""`charlm sample` of running text: the output for each flag."""

import json
import os
import re
import shutil

import pytest

from tests.helpers.runners import error_line, run_in_process, run_process, run_shell
from tests.helpers.texts import BRIEF, TINY


@pytest.fixture
def sample(model):
    """Return a function from flags to the text that `charlm sample` writes; the seed is 5 by default."""
    def run(*flags, seed=5, model=model):
        return run_in_process("sample", "-m", model, "--seed", seed, *flags).check().text
    return run


def texts(output):
    return [json.loads(line)["text"] for line in output.splitlines()]


def test_length_counts_characters(sample):
    assert [len(sample("-n", length)) for length in (1, 7, 200)] == [1, 7, 200]


def test_length_zero_is_empty_output(model):
    done = run_process("sample", "-m", model, "-n", 0, "-p", "green")
    assert (done.code, done.stdout) == (0, b"")


@pytest.mark.parametrize("flags", [
    ["-n", "-1"], ["--temp", "nan"], ["--temp", "inf"], ["--temp", "-1"], ["-p", "a", "-f", "b"]])
def test_invalid_flag_values_are_usage_errors_in_one_line(model, flags):
    done = run_in_process("sample", "-m", model, *flags)
    assert flags[0] in error_line(done, 2)


@pytest.mark.parametrize("flag, value", [
    ("--top-p", "nan"), ("--top-p", "1.5"), ("--min-p", "-0.1"), ("--repeat-penalty", "0"),
    ("--repeat-penalty", "inf")])
def test_a_number_out_of_range_names_its_flag(model, flag, value):
    assert flag in error_line(run_in_process("sample", "-m", model, "--seed", 5, flag, value), 2)


def test_temperature_zero_is_greedy_whatever_the_seed(sample):
    assert sample("--temp", 0, seed=1) == sample("--temp", 0, seed=2) != sample("--temp", 1)


def test_sampling_only_the_likeliest_token_is_greedy(sample):
    greedy = sample("--temp", 0)
    assert sample("--top-k", 1) == sample("--top-p", 0) == sample("--min-p", 1) == greedy


def test_a_top_k_above_the_vocabulary_size_changes_nothing(sample):
    assert sample("--top-k", 10**9) == sample()


def test_a_seed_repeats_a_sample_and_another_seed_does_not(sample):
    assert sample(seed=1) == sample(seed=1) != sample(seed=2)


def test_a_random_seed_is_printed_and_repeats_the_sample(sample, model):
    done = run_process("sample", "-m", model)
    seed = re.fullmatch(r"charlm: seed (\d+)\n", done.stderr)[1]
    assert sample(seed=seed) == done.text
    assert run_process("sample", "-m", model).stderr != done.stderr


def test_greedy_text_needs_no_seed_and_prints_none(model):
    assert run_process("sample", "-m", model, "--temp", 0, "-n", 5).stderr == ""


def test_a_sample_does_not_depend_on_the_number_of_samples(sample):
    alone = sample("-n", 80)
    three = texts(sample("-n", 80, "-N", 3, "--jsonl"))
    seventy = texts(sample("-n", 80, "-N", 70, "--jsonl"))
    assert three[0] == alone
    assert three == seventy[:3]
    assert len(set(seventy)) == 70
    assert texts(sample("-n", 80, "-N", 66, "--jsonl"))[65] == seventy[65]


def test_several_samples_are_the_texts_of_the_records_with_newlines(sample):
    records = texts(sample("-n", 40, "-N", 3, "--jsonl"))
    expected = "".join(text if text.endswith("\n") else text + "\n" for text in records)
    assert sample("-n", 40, "-N", 3) == expected


def test_one_sample_to_a_pipe_gets_no_added_newline(sample):
    lengths = {len(sample("-n", 30, seed=seed)) for seed in range(5)}
    assert lengths == {30}


def test_records_hold_number_seed_prompt_and_new_text(sample):
    first, second = map(json.loads, sample("-N", 2, "-n", 9, "-p", "señor", "--jsonl").splitlines())
    assert {**first, "text": len(first["text"]), "bits_per_character": 1} == {
        "sample": 0, "seed": 5, "prompt": "señor", "text": 9, "bits_per_character": 1}
    assert second["sample"] == 1


def test_the_prompt_is_echoed_before_every_sample_except_with_no_echo(sample):
    prompt = "10 green señor"
    whole, new = sample("-p", prompt), sample("-p", prompt, "--no-echo")
    assert whole == prompt + new
    assert sample("-p", prompt, "-N", 3, "-n", 20).count(prompt) == 3


def test_a_prompt_changes_what_follows(sample):
    assert sample("-p", "10 green", "--no-echo", "--temp", 0) != sample("--temp", 0)


def test_prompts_from_flag_file_and_stdin_are_the_same(sample, model, tmp_path):
    prompt = "and if señor\n"
    (tmp_path / "prompt.txt").write_bytes(prompt.encode())
    expected = sample("-p", prompt)
    assert sample("-f", tmp_path / "prompt.txt") == expected
    done = run_process("sample", "-m", model, "--seed", 5, "-f", "-", stdin=prompt.encode())
    assert done.text == expected


def test_a_prompt_of_unknown_characters_is_warned_about_and_works(model):
    done = run_process("sample", "-m", model, "--seed", 1, "-p", "日本", "-n", 5)
    assert done.code == 0
    assert done.stderr.startswith("charlm: warning: 2 characters of the prompt are unknown")
    assert done.text.startswith("日本")


@pytest.mark.parametrize("tokenizer", ["char", "byte", "bpe"])
def test_a_prompt_that_is_not_text_is_no_internal_error(tokenizer, verses):
    run_in_process("train", verses, "-o", "m.charlm", *BRIEF, "--quiet", "--tokenizer", tokenizer).check()
    done = run_in_process("sample", "-m", "m.charlm", "-p", os.fsdecode(b"caf\xe9"), "-n", 5, "--seed", 1)
    assert done.code == 2 or done.code == 0 and done.stdout.startswith(b"caf")


def test_a_stop_text_ends_the_sample_and_is_not_part_of_it(sample):
    whole = sample("-n", 400)
    stop = whole[200:203]
    assert sample("-n", 400, "--stop", stop) == whole[:whole.index(stop)]
    earliest = min(whole.index(stop), whole.index(whole[50:52]))
    assert sample("-n", 400, "--stop", stop, "--stop", whole[50:52]) == whole[:earliest]


def test_a_stop_text_that_never_comes_changes_nothing(sample):
    whole = sample("-n", 100)
    assert sample("-n", 100, "--stop", whole[-2:] + "☃") == whole


def test_a_stop_text_ends_each_of_several_samples_separately(sample):
    free = texts(sample("-n", 100, "-N", 5, "--jsonl"))
    stopped = texts(sample("-n", 100, "-N", 5, "--jsonl", "--stop", "e"))
    assert stopped == [text.split("e")[0] for text in free]


def test_the_newest_model_here_is_used_and_its_name_printed(model, tmp_path):
    for age, name in enumerate(("b.charlm", "a.charlm", "c.charlm")):
        shutil.copy(model, tmp_path / name)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    os.utime(tmp_path / "a.charlm", (2e9, 2e9))
    (tmp_path / "folder.charlm").mkdir()
    done = run_process("sample", "-n", 3, "--seed", 1)
    assert (done.code, len(done.text)) == (0, 3)
    assert done.stderr == "charlm: using a.charlm\n"


def test_no_model_here_is_a_usage_error_with_the_command_that_trains_one():
    done = run_process("sample")
    assert "charlm train CORPUS" in error_line(done, 2)


def test_stdin_is_left_to_the_surrounding_loop(model):
    done = run_shell("printf '1\\n2\\n3\\n' | while read line; do "
                 f"charlm sample -m '{model}' -p \"$line\" -n 0 --jsonl --seed 1; done")
    assert [json.loads(line)["prompt"] for line in done.text.splitlines()] == ["1", "2", "3"]


@pytest.mark.parametrize("verb, given", [
    ("sample", "model"), ("info", "model"), ("translate", "pairs_model"), ("fill", "fill_model")])
def test_these_verbs_do_not_import_torch(request, verb, given):
    done = run_process(verb, "-m", request.getfixturevalue(given), python=["-X", "importtime"], stdin=b"a___b\n")
    imported = {line.rsplit("|")[-1].strip() for line in done.stderr.splitlines()}
    assert done.code == 0
    assert "numpy" in imported
    assert not {"torch", "rich", "sentencepiece"} & imported


def test_a_model_of_a_repeated_text_continues_it(tmp_path):
    (tmp_path / "abc.txt").write_text("abcdefgh" * 100)
    run_in_process("train", "abc.txt", "-o", "m.charlm", *TINY, "--hidden", 32, "--steps", 60, "--quiet").check()
    done = run_process("sample", "-m", "m.charlm", "--temp", 0, "-p", "abcdef", "-n", 26)
    assert done.stdout == b"abcdefgh" * 4


@pytest.fixture
def windowed_model(verses, tmp_path):
    """A model of running text with an encoder that reads the previous window."""
    path = tmp_path / "back.charlm"
    run_in_process("train", verses, "-o", path, *TINY, "--quiet", "--bidirectional", "--bptt", 16).check()
    return path


def test_a_windowed_model_repeats_and_echoes_like_any_other(sample, windowed_model):
    def sampled(*flags, **more):
        return sample(*flags, model=windowed_model, **more)
    prompt = "10 green bottles, señor, hanging on"         # longer than two windows
    whole = sampled("-n", 100)
    assert len(whole) == 100 and whole == sampled("-n", 100) != sampled("-n", 100, seed=6)
    assert sampled("-n", 40) == whole[:40]
    assert texts(sampled("-n", 100, "-N", 3, "--jsonl"))[0] == whole
    assert sampled("-p", prompt, "-n", 50) == prompt + sampled("-p", prompt, "-n", 50, "--no-echo")


def test_greedy_text_of_a_windowed_model_continues_its_own_beginning(sample, windowed_model):
    whole = sample("--temp", 0, "-p", "10 green", "-n", 60, model=windowed_model)
    for cut in (9, 16, 31, 40):
        assert sample("--temp", 0, "-p", whole[:cut], "-n", len(whole) - cut, model=windowed_model) == whole
