"""`charlm filter`: the lines that pass, by their scores.

Not here: the behaviour that it shares with other filters (test_line_reader.py).
"""

import math
import signal
import subprocess
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.cli.filter import _counted
from charlm.modelfile import load
from tests.helpers.runners import SECONDS, error_line, run_in_process, start_process
from tests.helpers.texts import BRIEF

RAW = b"\xef\xbb\xbfO'Banan\n\nMutsson\r\nx\x00\n\r\nFot\xc3\xb1ez\n\tO'Latan \nqqqq"
NAMES = "O'Banan\nLutsson\nFotñez\nqqqqqq\nO'Lonan\nMutñez\nBansson\nzzzz\nO'Futey\nqz\n"
ALL = "1000"


@pytest.fixture
def keep(lines_model):
    """Return a function from lines to those that `charlm filter` keeps."""
    def run(data, *flags, model=lines_model):
        data = data if isinstance(data, bytes) else data.encode()
        return run_in_process("filter", "-m", model, *flags, stdin=data).check().stdout
    return run


@pytest.fixture
def rates(lines_model):
    """Return a function from lines to their bits per character, as `charlm score` computes them."""
    def run(data, *flags, model=lines_model):
        data = data if isinstance(data, bytes) else data.encode()
        records = run_in_process("score", "-m", model, "--jsonl", *flags, stdin=data).check().records
        return [record["bits_per_character"] for record in records]
    return run


def lines_of(text):
    return text.splitlines(keepends=True)


def test_lines_within_the_bounds_pass_in_order(keep, rates):
    scores = rates(NAMES)
    low, high = sorted(scores)[2] + 1e-4, sorted(scores)[6] + 1e-4
    passing = {"--max-bpc": lambda score: score <= high, "--min-bpc": lambda score: score >= low}
    for flag, bound in (("--max-bpc", high), ("--min-bpc", low)):
        expected = "".join(line for line, score in zip(lines_of(NAMES), scores, strict=True) if passing[flag](score))
        assert keep(NAMES, flag, bound).decode() == expected
    between = "".join(line for line, score in zip(lines_of(NAMES), scores, strict=True) if low <= score <= high)
    assert keep(NAMES, "--min-bpc", low, "--max-bpc", high).decode() == between and between.count("\n") == 4


def test_a_line_at_a_bound_passes(keep, uniform, lines_model):
    bits = math.log2(load(str(lines_model)).config.vocabulary_size)
    for flag, inside, outside in (("--max-bpc", bits + 1e-6, bits - 1e-6), ("--min-bpc", bits - 1e-6, bits + 1e-6)):
        assert keep("B\n", flag, inside, model=uniform(lines_model)) == b"B\n"
        assert keep("B\n", flag, outside, model=uniform(lines_model)) == b""


def test_an_infinite_bound_passes_all_lines_or_none(keep):
    assert keep(NAMES, "--max-bpc", "inf") == keep(NAMES, "--min-bpc", "-inf") == NAMES.encode()
    assert keep(NAMES, "--max-bpc", "-inf") == b""


@pytest.mark.parametrize("flags", [["--max-bpc", ALL], ["--keep", "100%"], ["--keep", "8"], ["--keep", "9999"],
                                   ["--min-bpc", 0, "--keep", "100%"]])
def test_a_line_that_passes_keeps_its_bytes(keep, flags):
    assert keep(RAW, *flags) == RAW


@given(data=st.lists(st.sampled_from([b"a", b"O'", b"\n", b"\r", b"\n", b"\0", b"\t", "é日\u2028\x85\ufeff".encode()]),
                     max_size=40).map(b"".join), share=st.booleans())
@settings(deadline=None, max_examples=40)
def test_all_lines_pass_unchanged_if_all_are_kept(lines_model, data, share):
    flags = ["--keep", "100%"] if share else ["--max-bpc", ALL]
    assert run_in_process("filter", "-m", lines_model, *flags, stdin=data).check().stdout == data


@pytest.mark.parametrize("keep_flag, count", [
    ("20%", 2), ("100%", 10), ("0%", 0), ("0", 0), ("3", 3), ("10", 10), ("11", 10), ("33.4%", 4), ("5%", 1),
    ("30%", 3)])
def test_the_least_surprising_lines_are_kept_in_order(keep, rates, keep_flag, count):
    scores = rates(NAMES)
    best = sorted(range(len(scores)), key=scores.__getitem__)[:count]
    assert keep(NAMES, "--keep", keep_flag).decode() == "".join(lines_of(NAMES)[number] for number in sorted(best))


def test_blank_lines_are_dropped_if_lines_have_labels(labels_model):
    for flags in (["--keep", "1"], ["--max-bpc", "99"]):
        done = run_in_process("filter", "-m", labels_model, *flags, stdin=b"\nO'Banan\n\n").check()
        assert done.stdout == b"O'Banan\n"


def test_among_equal_scores_the_first_lines_are_kept(keep, uniform, lines_model):
    lines = [f"{letter}\n" for letter in "日BF日LMa日ou" * 60]
    known = [line for line in lines if line != "日\n"]             # with equal scores, better than those of the others
    assert keep("".join(lines), "--keep", 100, model=uniform(lines_model)).decode() == "".join(known[:100])


def test_a_share_of_1500_lines_is_the_best_of_all_batches(keep, rates):
    text = "".join(f"O'{'Ban' * (n * 7919 % 23)}{n}\n" for n in range(1500))
    scores = rates(text)
    kept = keep(text, "--keep", "10%").decode().splitlines(keepends=True)
    chosen = [number for number, line in enumerate(text.splitlines(keepends=True)) if line in set(kept)]
    assert len(kept) == len(chosen) == 150 and kept == [lines_of(text)[number] for number in chosen]
    rest = sorted(set(range(1500)) - set(chosen))
    assert max(scores[number] for number in chosen) <= min(scores[number] for number in rest) + 1e-5


def test_keep_counts_the_lines_within_the_bounds(keep, rates):
    scores = rates(NAMES)
    low = sorted(scores)[3] + 1e-4
    order = sorted((score, number) for number, score in enumerate(scores) if score >= low)[:2]
    expected = "".join(lines_of(NAMES)[number] for number in sorted(number for _, number in order))
    assert keep(NAMES, "--min-bpc", low, "--keep", 2).decode() == expected
    assert keep(NAMES, "--min-bpc", low, "--keep", "20%").decode() == expected       # of all lines


@pytest.mark.parametrize("bad", ["-1", "1.5", "-3%", "101%", "nan", "nan%", "inf", "inf%", "", "%", "all", "20 %%"])
def test_an_invalid_share_is_a_usage_error(bad):
    done = run_in_process("filter", "-m", "missing.charlm", f"--keep={bad}", stdin=b"a\n")
    assert "--keep" in error_line(done, 2)


@pytest.mark.parametrize("flags, message", [
    ([], "--max-bpc, --min-bpc or --keep"), (["--with-score"], "no condition given"),
    (["--max-bpc", "nan"], "--max-bpc"),
    (["--min-bpc", "nan"], "--min-bpc"), (["--max-bpc", "much"], "--max-bpc"),
    (["--max-bpc", "2", "--carry"], "--carry"),
    (["--contrast", "missing.charlm"], "no condition given")])
def test_usage_errors_are_one_line(lines_model, flags, message):
    done = run_in_process("filter", "-m", lines_model, *flags, stdin=b"a\n")
    assert message in error_line(done, 2)


def test_with_score_puts_the_score_before_each_line(keep, rates):
    rows = [row.split(b"\t", 1) for row in keep(RAW, "--max-bpc", ALL, "--with-score").split(b"\n")]
    assert b"\n".join(row[1] for row in rows) == RAW
    assert [float(row[0]) for row in rows] == pytest.approx(rates(RAW), abs=1e-4)
    assert keep(NAMES, "--keep", 3, "--with-score").count(b"\n") == 3


def test_a_contrast_is_the_difference_of_two_models_of_any_tokenizers(keep, rates, verses, tmp_path):
    run_in_process("train", verses, "-o", "general.charlm", "--tokenizer", "byte", *BRIEF, "--quiet").check()
    own, general = rates(NAMES), rates(NAMES, model=tmp_path / "general.charlm")
    differences = [one - other for one, other in zip(own, general, strict=True)]
    contrast = ["--contrast", tmp_path / "general.charlm"]
    rows = keep(NAMES, "--max-bpc", ALL, "--with-score", *contrast).decode().splitlines()
    assert [float(row.split("\t")[0]) for row in rows] == pytest.approx(differences, abs=1e-4)
    best = sorted(range(len(differences)), key=differences.__getitem__)[:3]
    assert keep(NAMES, "--keep", "30%", *contrast).decode() == "".join(lines_of(NAMES)[at] for at in sorted(best))


def test_a_model_in_contrast_to_itself_scores_all_lines_as_zero(keep, lines_model):
    assert keep(NAMES, "--min-bpc", 0, "--max-bpc", 0, "--contrast", lines_model) == NAMES.encode()


def test_a_contrast_that_is_not_a_scoring_model_is_refused(lines_model, names, fill_model):
    for path, message in ((names, "names.txt: "), ("missing.charlm", "cannot be read"), (fill_model, "fill model")):
        done = run_in_process("filter", "-m", lines_model, "--max-bpc", 2, "--contrast", path, stdin=b"a\n")
        assert message in error_line(done, 3)


def test_carry_scores_a_line_given_the_lines_before_it(keep, rates, model):
    text = "10 green bottles\n" * 4
    scores = rates(text, "--carry", model=model)
    bound = (min(scores) + max(scores)) / 2
    expected = "".join(line for line, score in zip(lines_of(text), scores, strict=True) if score <= bound)
    assert keep(text, "--max-bpc", bound, "--carry", model=model).decode() == expected
    assert 0 < expected.count("\n") < 4 and keep(text, "--max-bpc", bound, model=model).decode() in ("", text)


def test_lines_that_are_not_utf8_are_left_out_and_the_exit_code_is_4(lines_model):
    data = b"Ba\r\n\xff\nq\n"
    for flags in (["--max-bpc", ALL], ["--keep", "100%"]):
        done = run_in_process("filter", "-m", lines_model, *flags, stdin=data)
        assert (done.code, done.stdout) == (4, b"Ba\r\nq\n")
        warning, count, error = done.stderr.splitlines()
        assert warning.startswith("charlm: line 2: not UTF-8") and "left out" in error
        assert count == "charlm: 2 of 3 lines passed"


def test_with_errors_replaced_or_ignored_lines_keep_their_bytes(lines_model):
    data = b"B\xffa\r\nq\n"
    for how in ("replace", "ignore"):
        done = run_in_process("filter", "-m", lines_model, "--max-bpc", ALL, "--errors", how, stdin=data)
        assert (done.code, done.stdout, done.stderr) == (0, data, "charlm: 2 of 2 lines passed\n")


@pytest.mark.parametrize("streams, passed, said", [
    (False, 0, "interrupted after 9 lines; --keep writes at the end of the input"), (False, 2, "2 of 9 lines passed"),
    (True, 0, "0 of 9 lines passed")])
def test_control_c_before_keep_has_chosen_says_so(streams, passed, said, capsys):
    with pytest.raises(KeyboardInterrupt), \
            _counted(SimpleNamespace(answered=9), "lines", quiet=False, streams=streams) as count:
        count(passed)
        raise KeyboardInterrupt
    assert capsys.readouterr().err == f"charlm: {said}\n"


def test_quiet_leaves_the_count_out(lines_model):
    done = run_in_process("filter", "-m", lines_model, "--max-bpc", ALL, "--quiet", stdin=b"Ba")
    assert (done.code, done.stdout, done.stderr) == (0, b"Ba", "")


def test_the_number_of_lines_that_passed_ends_a_filter_and_control_c(lines_model):
    text = NAMES * 120
    done = run_in_process("filter", "-m", lines_model, "--keep", "25%", stdin=text.encode()).check()
    assert done.stderr == "charlm: 300 of 1,200 lines passed\n"
    with start_process("filter", "-m", lines_model, "--max-bpc", ALL, stdin=subprocess.PIPE) as process:
        process.stdin.write(NAMES.encode())
        process.stdin.flush()
        assert len(process.stdout.read(len(NAMES.encode()))) == len(NAMES.encode())
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().strip() == b"charlm: 10 of 10 lines passed"
        assert process.wait(SECONDS) == -signal.SIGINT


def test_keep_leaves_no_temporary_files(keep, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert keep(NAMES, "--keep", 1).count(b"\n") == 1
    assert list(tmp_path.iterdir()) == []
