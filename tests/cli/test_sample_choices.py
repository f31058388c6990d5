"""`charlm sample`: separators, bits per character, the best of several, copies of the training text, distances."""

import json
import os
import re
import select
import signal

import pytest

import charlm
from charlm.inference.evaluation import edit_distance
from tests.helpers.runners import error_line, run_in_process, run_process, run_shell, start_process
from tests.helpers.texts import TINY, VERSES


@pytest.fixture
def sample(model):
    """Return a function from flags to the result of `charlm sample`; the seed is 5 by default."""
    def run(*flags, model=model, seed=5, **more):
        return run_in_process("sample", "-m", model, "--seed", seed, *flags, **more)
    return run


@pytest.fixture(scope="session")
def remembering(train_quietly, verses):
    """A model of running text that remembers its text."""
    return train_quietly(verses, *TINY, "--hidden", 48, "--steps", 90, "--remember")


def texts(done):
    return [record["text"] for record in done.check().records]


def longest_copy(corpus, text):
    return max(stop - start for start in range(len(text)) for stop in range(start, len(text) + 1)
               if text[start:stop] in corpus)


def test_a_corpus_that_cannot_be_the_training_text_is_not_trusted(sample, verses, text_file):
    flags, warning = ["-n", 20, "--max-overlap", 20, "--corpus"], "copies of text that is not in --corpus are not found"
    assert warning in sample(*flags, text_file("part.txt", VERSES[:100])).check().stderr
    assert warning not in sample(*flags, verses).check().stderr
    assert "--corpus is empty" in error_line(sample(*flags, text_file("none.txt", "")), 4)


def test_a_separator_follows_every_sample(sample, lines_model):
    three = texts(sample("-n", 20, "-N", 3, "--jsonl"))
    for given, meant in (("\\0", "\0"), ("--\\n\\t\\\\", "--\n\t\\"), ("", ""), ("é", "é")):
        assert sample("-n", 20, "-N", 3, "--separator", given).check().text == "".join(text + meant for text in three)
    lines = sample("-N", 3, model=lines_model).check().text
    assert sample("-N", 3, "--separator", "\\0", model=lines_model).check().text == lines.replace("\n", "\0")
    assert "unknown escape \\x" in error_line(sample("--separator", "\\x00"), 2)
    assert "--separator is for plain text" in error_line(sample("--separator", "\\0", "--jsonl"), 2)


def test_samples_reach_other_commands_whole(model, sample):
    done = run_shell(f"charlm sample -m '{model}' --seed 5 -n 60 -N 3 --separator '\\0' | xargs -0 -n 1 printf '<%s>'")
    assert done.text == "".join(f"<{text}>" for text in texts(sample("-n", 60, "-N", 3, "--jsonl")))


def test_bits_per_character_are_those_of_score(sample, model):
    loaded, prompt = charlm.load(str(model)), "10 green señor"
    for row in sample("-N", 3, "-n", 40, "-p", prompt, "--temp", 0.6, "--stop", "ee", "--jsonl").check().records:
        bits = loaded.score(prompt + row["text"]).bits - loaded.score(prompt).bits
        assert row["bits_per_character"] == pytest.approx(bits / max(len(row["text"]), 1), abs=1e-4)


def test_bits_of_lines_are_those_of_score_with_their_end(sample, lines_model, labels_model):
    for path, flags, before in ((lines_model, (), ""), (labels_model, ("--label", "Irish"), "Irish\t"),
                                (labels_model, (), "")):
        bits = charlm.load(str(path)).score
        for row in sample("-N", 9, *flags, "--jsonl", "--top-k", 5, model=path).check().records:
            line = f"{row['label']}\t{row['text']}" if "label" in row else before + row["text"]
            assert row["bits_per_character"] == pytest.approx(bits(line).bits / (len(row["text"]) + 1), abs=1e-4)
    cut, = sample("-n", 3, "-p", "O'", "--jsonl", "--temp", 0, model=lines_model).check().records
    bits = [bits for _, bits in charlm.load(str(lines_model)).surprisals("O'" + cut["text"])]
    assert cut["bits_per_character"] == pytest.approx(sum(bits[2:5]) / 3, abs=1e-4)


def test_the_best_of_several_has_the_fewest_bits(sample):
    def bits(*flags):
        return [row["bits_per_character"] for row in sample("-n", 40, "-N", 6, "--jsonl", *flags).check().records]
    one, eight = bits(), bits("--best-of", 8)
    assert bits("--best-of", 1) == one
    assert all(few <= more for few, more in zip(eight, one, strict=True)) and sum(eight) < sum(one)
    assert sample("-n", 40, "-N", 6, "--best-of", 8).check().text.startswith(
        sample("-n", 40, "-N", 2, "--best-of", 8).check().text)


def test_the_best_line_of_each_group_that_passes_is_kept(sample, lines_model):
    flags = ["--unique", "--match", "[so]", "--jsonl"]
    every = sample("-N", 30, *flags, model=lines_model).check().records
    best = sample("-N", 10, "--best-of", 3, *flags, model=lines_model).check().records
    assert best == [min(every[at:at + 3], key=lambda row: row["bits_per_character"]) for at in range(0, 30, 3)]


def test_copies_are_reported_with_the_corpus_or_what_is_remembered(sample, remembering, verses):
    flags = ["-N", 6, "-n", 80, "--temp", 0.5, "--overlap", 18]
    rows = sample(*flags, "--corpus", verses.parent, "--jsonl", model=remembering).check().records
    expected = [longest_copy(VERSES, row["text"]) for row in rows]
    assert [row["overlap"] for row in rows] == [length * (length >= 18) for length in expected]
    assert all(row["copy"] in VERSES and row["copy"] in row["text"] for row in rows)
    assert sum(length >= 18 for length in expected) > 1
    kept = sample(*flags, "--jsonl", model=remembering).check().records
    assert all(one["copy"] in other["copy"] for one, other in zip(rows, kept, strict=True))
    done = sample(*flags, "--corpus", verses, model=remembering)
    assert done.text == sample(*flags[:-2], model=remembering).check().text
    copied = [row for row in rows if row["copy"]]
    *lines, last = done.stderr.splitlines()
    assert lines == [f"charlm: sample {row['sample']}: {row['overlap']} characters are a copy: "
                     + json.dumps(row["copy"], ensure_ascii=False) for row in copied]
    assert last == f"charlm: samples with a copy of 18 characters or more: {len(copied)} of 6"


def test_samples_with_long_copies_are_drawn_again(sample, remembering, verses):
    flags = ["-N", 6, "-n", 60, "--jsonl", "--corpus", verses, "--max-overlap", 12]
    plain = sample("-N", 6, "-n", 60, "--jsonl", model=remembering).check().records
    chosen = sample(*flags, model=remembering).check().records
    kept = [longest_copy(VERSES, row["text"]) < 12 for row in plain]
    assert 0 < sum(kept) < 6 and all(longest_copy(VERSES, row["text"]) < 12 for row in chosen)
    assert [one == other for one, other in zip(plain, chosen, strict=True)] == kept
    done = sample("-n", 60, "--temp", 0, "--corpus", verses, "--max-overlap", 8, "-p", VERSES[:20], model=remembering)
    assert "found 0 of 1 samples: too many candidates copy 8 characters or more" in error_line(done, 1)


def test_lines_with_long_copies_are_filtered_out(sample, lines_model, names, text_file):
    corpus = text_file("long.txt", names.read_text(encoding="utf-8").replace("\n", "-" * 8 + "\n"))
    drawn = sample("-N", 200, "--temp", 2, model=lines_model).check().text.splitlines()
    known = corpus.read_text(encoding="utf-8")
    expected = [line for line in drawn if len(line) < 8 or longest_copy(known, line) < 8]
    flags = ["-N", 200, "--temp", 2, "--corpus", corpus, "--max-overlap", 8]
    assert sample(*flags, model=lines_model).check().text.splitlines()[:len(expected)] == expected


@pytest.mark.parametrize("flags, named", [
    (["--overlap", "16"], "--corpus, or train with --remember"), (["--corpus", "x"], "--overlap, --max-overlap"),
    (["--overlap", "16", "--corpus", "-"], "cannot be -"), (["--overlap", "7"], "--overlap must be"),
    (["--min-distance", "2"], "--min-distance is for models of lines"), (["--tries", "9"], "--tries is for models of"),
    (["--tries", "2", "--best-of", "3", "--max-overlap", "9"], "--tries 2 ends before the 3 candidates"),
    (["--best-of", "0"], "--best-of must be"), (["--interactive", "-p", "a"], "--interactive asks")])
def test_options_that_lack_what_they_need_are_refused(sample, flags, named):
    assert named in error_line(sample(*flags), 2)


def test_too_short_an_overlap_for_what_is_remembered_is_refused(sample, remembering):
    assert "--max-overlap must be at least 18" in error_line(sample("--max-overlap", 17, model=remembering), 2)


def test_a_model_keeps_its_filter_through_its_file(sample, remembering):
    info = run_in_process("info", "-m", remembering, "--jsonl").check().records[0]
    sequences, size = map(int, re.findall(r"\d+", info["remembered"].replace(",", ""))[::2])
    part = VERSES[:int(len(VERSES) * 0.9)]
    distinct = len({part[at:at + 16] for at in range(len(part) - 15)})
    assert sequences == pytest.approx(distinct, rel=0.01) and size == -(-10 * sequences // 8)


@pytest.mark.parametrize("flags", [["--fill"], ["--pairs"]])
def test_models_that_do_not_sample_remember_nothing(flags, lexicon):
    done = run_in_process("train", lexicon, "-o", "m.charlm", *TINY, *flags, "--remember", "--quiet")
    assert "--remember is for models that sample" in error_line(done, 2)


def test_lines_keep_their_distance_from_the_training_text(sample, lines_model, labels_model, names, labelled_names):
    known = {*names.read_text(encoding="utf-8").splitlines()}
    for model, corpus, temperature in ((lines_model, names, 0.7), (labels_model, labelled_names, 1.3)):
        drawn = texts(sample("-N", 40, "--temp", temperature, "--jsonl", model=model))
        distances = [min(edit_distance(line, other) for other in known) for line in drawn]
        assert {0, 1, 2} <= {*distances} and max(distances) > 3
        for distance, flags in ((1, ()), (2, ()), (2, ("--corpus", corpus)), (4, ("--corpus", corpus))):
            far = [line for line, edits in zip(drawn, distances, strict=True) if edits >= distance]
            found = sample("-N", len(far), "--temp", temperature, "--min-distance", distance, *flags, model=model)
            assert [line.split("\t")[-1] for line in found.check().text.splitlines()] == far
    assert "needs the training lines" in error_line(sample("--min-distance", 3, model=lines_model), 2)


def test_lines_of_python_keep_their_distance_too(lines_model, names, sample):
    loaded, known = charlm.load(str(lines_model)), names.read_text(encoding="utf-8").splitlines()
    expected = sample("-N", 9, "--min-distance", 2, "--best-of", 2, model=lines_model).check().text.splitlines()
    assert loaded.lines(9, seed=5, min_distance=2, best_of=2) == expected
    assert loaded.lines(9, seed=5, min_distance=3, known=known) \
        == sample("-N", 9, "--min-distance", 3, "--corpus", names, model=lines_model).check().text.splitlines()


def test_beginnings_from_a_pipe_are_continued_one_after_the_other(sample):
    done = sample("--interactive", "-n", 20, stdin=b"10 green\n\nand if\n").check()
    first = sample("-p", "10 green", "-n", 20).check().text
    second = sample("-p", first, "-n", 20, "--no-echo", seed=6).check().text
    third = sample("-p", "and if", "-n", 20, seed=7).check().text
    assert done.text == "".join(text if text.endswith("\n") else text + "\n" for text in (first, second, third))


def test_beginnings_of_lines_may_have_a_label(sample, labels_model):
    done = sample("--interactive", "-N", 2, stdin=b"Irish\tO\nB\n", model=labels_model).check()
    expected = [sample("-N", 2, "--label", "Irish", "-p", "O", model=labels_model),
                sample("-N", 2, "-p", "B", model=labels_model, seed=6)]
    assert done.text == "".join(one.check().text for one in expected) and done.stderr == ""


def test_ctrl_c_stops_a_text_and_ctrl_d_leaves(model):
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    process = start_process("sample", "-m", model, "--interactive", "--seed", 5, "-n", 10_000_000, "--no-echo",
                            stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)

    def read_until(text):
        screen = b""
        while text not in screen:
            assert select.select([master], [], [], 30)[0], screen[-1000:]
            screen += os.read(master, 65536)
    read_until(b"Ctrl-D leaves\r\n> ")
    os.write(master, b"10 green\n")
    read_until(b"green\r\n")
    read_until(b"e")                    # of the text
    process.send_signal(signal.SIGINT)
    read_until(b"> ")
    os.write(master, b"\x04")
    try:
        assert process.wait(30) == 0
    finally:
        process.kill()
        os.close(master)


def test_a_rule_is_between_samples_on_a_terminal(model):
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    done = run_process("sample", "-m", model, "--seed", 5, "-n", 20, "-N", 3, stdout=slave)
    os.close(slave)
    lines = os.read(master, 65536).decode().splitlines()
    os.close(master)
    assert done.code == 0 and [line for line in lines if "─" in line] == ["─" * 40] * 2 and "─" not in lines[-1]
