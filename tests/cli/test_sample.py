"""`charlm sample`: what comes out for which flags."""

import json
import os
import re
import shutil

import pytest

from charlm.errors import CharlmError, UsageError


@pytest.fixture
def sample(here, model, capfdbinary):
    """Text that `charlm sample` writes in this process; seeded unless told otherwise."""
    def run(*flags, seed=5):
        capfdbinary.readouterr()
        here("sample", "-m", model, "--seed", seed, *flags)
        return capfdbinary.readouterr().out.decode()
    return run


def texts(output):
    return [json.loads(line)["text"] for line in output.splitlines()]


def test_length_counts_characters(sample):
    assert [len(sample("-n", length)) for length in (1, 7, 200)] == [1, 7, 200]


def test_length_zero_is_empty_output(charlm, model):
    done = charlm("sample", "-m", model, "-n", 0, "-p", "green")
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize("flags", [
    ["-n", "-1"], ["--temp", "nan"], ["--temp", "inf"], ["--temp", "-1"], ["-p", "a", "-f", "b"]])
def test_flags_that_cannot_work_are_wrong_usage_in_one_line(piped, refusal, model, flags):
    done = piped(b"", "sample", "-m", model, *flags)
    assert done.returncode == 2
    assert flags[0] in refusal(done)


@pytest.mark.parametrize("flag, value", [
    ("--top-p", "nan"), ("--top-p", "1.5"), ("--min-p", "-0.1"), ("--repeat-penalty", "0"),
    ("--repeat-penalty", "inf")])
def test_a_number_out_of_range_names_its_flag(sample, flag, value):
    with pytest.raises(UsageError, match=flag):
        sample(flag, value)


def test_temperature_zero_is_greedy_whatever_the_seed(sample):
    assert sample("--temp", 0, seed=1) == sample("--temp", 0, seed=2) != sample("--temp", 1)


def test_the_likeliest_token_alone_is_greedy(sample):
    greedy = sample("--temp", 0)
    assert sample("--top-k", 1) == sample("--top-p", 0) == sample("--min-p", 1) == greedy


def test_top_k_beyond_the_vocabulary_changes_nothing(sample):
    assert sample("--top-k", 10**9) == sample()


def test_seed_repeats_a_sample_and_another_seed_does_not(sample):
    assert sample(seed=1) == sample(seed=1) != sample(seed=2)


def test_a_drawn_seed_is_told_and_repeats_the_sample(charlm, sample, model):
    done = charlm("sample", "-m", model)
    seed = re.fullmatch(r"charlm: seed (\d+)\n", done.stderr.decode())[1]
    assert sample(seed=seed) == done.stdout.decode()
    assert charlm("sample", "-m", model).stderr != done.stderr


def test_greedy_text_needs_no_seed_and_none_is_told(charlm, model):
    assert charlm("sample", "-m", model, "--temp", 0, "-n", 5).stderr == b""


def test_a_sample_is_the_same_in_whatever_number_it_stands(sample):
    alone = sample("-n", 80)
    three = texts(sample("-n", 80, "-N", 3, "--jsonl"))
    seventy = texts(sample("-n", 80, "-N", 70, "--jsonl"))
    assert three[0] == alone
    assert three == seventy[:3]
    assert len(set(seventy)) == 70
    assert texts(sample("-n", 80, "-N", 66, "--jsonl"))[65] == seventy[65]


def test_several_samples_as_text_are_those_of_the_records_each_ended_by_a_line_break(sample):
    records = texts(sample("-n", 40, "-N", 3, "--jsonl"))
    expected = "".join(text if text.endswith("\n") else text + "\n" for text in records)
    assert sample("-n", 40, "-N", 3) == expected


def test_one_sample_into_a_pipe_gets_no_line_break_of_ours(sample):
    lengths = {len(sample("-n", 30, seed=seed)) for seed in range(5)}
    assert lengths == {30}


def test_records_carry_number_seed_prompt_and_new_text(sample):
    first, second = map(json.loads, sample("-N", 2, "-n", 9, "-p", "señor", "--jsonl").splitlines())
    assert {**first, "text": len(first["text"])} == {
        "sample": 0, "seed": 5, "prompt": "señor", "text": 9}
    assert second["sample"] == 1


def test_the_prompt_is_echoed_before_every_sample_unless_told_not_to(sample):
    prompt = "10 green señor"
    whole, new = sample("-p", prompt), sample("-p", prompt, "--no-echo")
    assert whole == prompt + new
    assert sample("-p", prompt, "-N", 3, "-n", 20).count(prompt) == 3


def test_a_prompt_changes_what_follows(sample):
    assert sample("-p", "10 green", "--no-echo", "--temp", 0) != sample("--temp", 0)


def test_prompts_from_flag_file_and_stdin_are_the_same(charlm, sample, model, tmp_path):
    prompt = "and if señor\n"
    (tmp_path / "prompt.txt").write_bytes(prompt.encode())
    expected = sample("-p", prompt)
    assert sample("-f", tmp_path / "prompt.txt") == expected
    done = charlm("sample", "-m", model, "--seed", 5, "-f", "-", input=prompt.encode())
    assert done.stdout.decode() == expected


def test_a_prompt_of_unknown_characters_is_warned_about_and_works(charlm, model):
    done = charlm("sample", "-m", model, "--seed", 1, "-p", "日本", "-n", 5)
    assert done.returncode == 0
    assert done.stderr.decode().startswith("charlm: warning: 2 characters of the prompt are unknown")
    assert done.stdout.decode().startswith("日本")


@pytest.mark.parametrize("tokenizer", ["char", "byte", "bpe"])
def test_a_prompt_that_is_no_text_does_not_end_in_an_internal_error(here, tokenizer, verses, tmp_path,
                                                                   capfdbinary):
    here("train", verses, "-o", tmp_path / "m.charlm", "--hidden", 8, "--layers", 1, "--steps", 1, "--quiet",
         "--tokenizer", tokenizer)
    prompt = os.fsdecode(b"caf\xe9")
    try:
        here("sample", "-m", tmp_path / "m.charlm", "-p", prompt, "-n", 5, "--seed", 1)
    except CharlmError as error:
        assert error.exit_code == 2
    else:
        assert capfdbinary.readouterr().out.startswith(b"caf")


def test_stop_ends_before_the_text_and_leaves_nothing_of_it(sample):
    whole = sample("-n", 400)
    stop = whole[200:203]
    assert sample("-n", 400, "--stop", stop) == whole[:whole.index(stop)]
    earliest = min(whole.index(stop), whole.index(whole[50:52]))
    assert sample("-n", 400, "--stop", stop, "--stop", whole[50:52]) == whole[:earliest]


def test_a_stop_that_never_comes_loses_nothing(sample):
    whole = sample("-n", 100)
    assert sample("-n", 100, "--stop", whole[-2:] + "☃") == whole


def test_stop_ends_each_of_several_samples_by_itself(sample):
    free = texts(sample("-n", 100, "-N", 5, "--jsonl"))
    stopped = texts(sample("-n", 100, "-N", 5, "--jsonl", "--stop", "e"))
    assert stopped == [text.split("e")[0] for text in free]


def test_the_newest_model_here_is_used_and_named(charlm, model, tmp_path):
    for age, name in enumerate(("b.charlm", "a.charlm", "c.charlm")):
        shutil.copy(model, tmp_path / name)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    os.utime(tmp_path / "a.charlm", (2e9, 2e9))
    (tmp_path / "folder.charlm").mkdir()
    done = charlm("sample", "-n", 3, "--seed", 1)
    assert (done.returncode, len(done.stdout.decode())) == (0, 3)
    assert done.stderr == b"charlm: using a.charlm\n"


def test_no_model_here_is_wrong_usage_and_says_how_to_get_one(charlm, refusal):
    done = charlm("sample")
    assert done.returncode == 2
    assert "charlm train CORPUS" in refusal(done)


def test_stdin_is_left_to_the_loop_around(shell, model):
    done = shell("printf '1\\n2\\n3\\n' | while read line; do "
                 f"charlm sample -m '{model}' -p \"$line\" -n 0 --jsonl --seed 1; done")
    assert [json.loads(line)["prompt"] for line in done.stdout.splitlines()] == ["1", "2", "3"]


@pytest.mark.parametrize("verb, given", [
    ("sample", "model"), ("info", "model"), ("translate", "pairs_model"), ("fill", "fill_model")])
def test_torch_is_never_imported(charlm, request, verb, given):
    done = charlm(verb, "-m", request.getfixturevalue(given), python=["-X", "importtime"], input=b"a___b\n")
    imported = {line.rsplit("|")[-1].strip() for line in done.stderr.decode().splitlines()}
    assert done.returncode == 0
    assert "numpy" in imported
    assert not {"torch", "rich", "sentencepiece"} & imported


def test_a_model_of_one_text_continues_it(charlm, here, tmp_path):
    (tmp_path / "abc.txt").write_text("abcdefgh" * 100)
    here("train", tmp_path / "abc.txt", "-o", tmp_path / "m.charlm", "--hidden", 32, "--layers", 1,
         "--steps", 60, "--quiet")
    done = charlm("sample", "-m", "m.charlm", "--temp", 0, "-p", "abcdef", "-n", 26)
    assert done.stdout == b"abcdefgh" * 4


@pytest.fixture
def reading_back(here, verses, tmp_path):
    """A stream model with an encoder of the window before this one."""
    path = tmp_path / "back.charlm"
    here("train", verses, "-o", path, "--hidden", 16, "--layers", 1, "--steps", 30, "--quiet", "--bidirectional",
         "--bptt", 16)
    return path


def test_a_bidirectional_stream_streams_repeats_and_echoes_as_any_other(sample, reading_back):
    def drawn(*flags, **more):
        return sample("-m", reading_back, *flags, **more)
    prompt = "10 green bottles, señor, hanging on"         # longer than two windows
    whole = drawn("-n", 100)
    assert len(whole) == 100 and whole == drawn("-n", 100) != drawn("-n", 100, seed=6)
    assert drawn("-n", 40) == whole[:40]
    assert texts(drawn("-n", 100, "-N", 3, "--jsonl"))[0] == whole
    assert drawn("-p", prompt, "-n", 50) == prompt + drawn("-p", prompt, "-n", 50, "--no-echo")


def test_greedy_text_of_a_bidirectional_stream_goes_on_from_itself(sample, reading_back):
    flags = ["-m", reading_back, "--temp", 0]
    whole = sample(*flags, "-p", "10 green", "-n", 60)
    for cut in (9, 16, 31, 40):
        assert sample(*flags, "-p", whole[:cut], "-n", len(whole) - cut) == whole
