"""`charlm tokenize` and its exact inverse, `charlm detokenize`.

Not here: the behaviour that they share with other filters (test_line_reader.py).
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.modelfile import load
from tests.helpers.runners import run_in_process
from tests.helpers.texts import BRIEF

TOKENIZERS = ("char", "byte", "bpe", "unigram")
LETTERS = "O'Ban\n\r\0\t ▁\ufeff\x85\u2028é日\U0001f600\x1b"
RAW = "\ufeffO'Ban\n\n▁ a ▁▁é\r\n\0\0日\r\n\n  \t\U0001f600\rB"


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A model of running text for each tokenizer, all of which know all characters of LETTERS."""
    folder = tmp_path_factory.mktemp("tokenizers")
    (folder / "text").write_bytes("".join(f"x{letter} Banan {letter}O'\n" for letter in LETTERS * 9).encode())
    for kind in TOKENIZERS:
        run_in_process("train", folder / "text", "-o", folder / kind, "--text", "--tokenizer", kind, *BRIEF,
                       "--quiet").check()
    return {kind: folder / kind for kind in TOKENIZERS}


@pytest.fixture(params=TOKENIZERS)
def tokenized(request, models):
    """A function from bytes to what `charlm tokenize` writes for them, and the tokenizer."""
    model = models[request.param]
    return lambda data, *flags: tokenize(model, data, *flags), load(str(model)).tokenizer


def tokenize(model, data, *flags):
    return run_in_process("tokenize", "-m", model, *flags, stdin=data).check().stdout


def detokenize(model, data):
    return run_in_process("detokenize", "-m", model, stdin=data).check().stdout


def round_trip(data, model):
    return detokenize(model, tokenize(model, data))


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_detokenize_restores_every_byte(models, kind):
    for text in (RAW, "", "\n", "\n\n", "a", "a\n", "\r", "\r\n", "a\r\r\n", "\ufeff", "\ufeff\ufeffa", "\ufeff\n",
                 "a\n\ufeffB\n",
                 " \n ", "▁", "\ufeff\r\n"):
        assert round_trip(text.encode(), models[kind]) == text.encode()


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(text=st.text(st.one_of(st.sampled_from(LETTERS), st.sampled_from("\n\r")), max_size=60))
@settings(deadline=None, max_examples=25)
def test_detokenize_restores_any_text_of_known_characters(models, kind, text):
    assert round_trip(text.encode(), models[kind]) == text.encode()


@pytest.mark.parametrize("kind", ["byte", "bpe", "unigram"])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
@settings(deadline=None, max_examples=25)
def test_detokenize_restores_any_text_if_the_tokenizer_knows_all_bytes(models, kind, text):
    assert round_trip(text.encode(), models[kind]) == text.encode()


def test_a_line_of_50000_characters_is_restored(models):
    data = ("é▁ Banan" * 6250 + "\n").encode()
    for model in models.values():
        assert round_trip(data, model) == data


def test_ids_are_decimal_and_separated_by_spaces_line_by_line(tokenized):
    write, tokenizer = tokenized
    lines = RAW.removeprefix("\ufeff").split("\n")
    rows = write(RAW.encode()).decode().removeprefix("\ufeff").split("\n")
    assert [[int(word) for word in row.split()] for row in rows] == [
        tokenizer.encode(line.removesuffix("\r")).tolist() if line.removesuffix("\r") else [] for line in lines]
    assert all(row.removesuffix("\r") == " ".join(row.split()) for row in rows)
    assert [row.endswith("\r") for row in rows] == [line.endswith("\r") for line in lines]


def test_the_ids_of_bytes_are_the_bytes(models):
    assert tokenize(models["byte"], "né\n".encode()) == b"110 195 169\n"
    assert detokenize(models["byte"], b"110 195 169\n") == "né\n".encode()


def test_there_is_one_readable_piece_for_each_id(tokenized):
    write, _ = tokenized
    data = "x Banan\n\né \x1b\0\tB\n".encode()
    pieces = [row.split(" ") for row in write(data, "--pieces").decode().split("\n")]
    ids = [row.split(" ") for row in write(data).decode().split("\n")]
    assert [len(row) for row in pieces] == [len(row) for row in ids]
    assert "".join(pieces[0]) == "x▁Banan" and pieces[1] == [""]
    assert not set("\x1b\0") & set("".join(pieces[2]))


def test_pieces_of_a_split_character_are_its_bytes(models):
    assert tokenize(models["byte"], "é日\n".encode(), "--pieces") == (
        b"<0xC3> <0xA9> <0xE6> <0x97> <0xA5>\n")


def test_lines_with_unknown_characters_are_counted_on_stderr(models):
    done = run_in_process("tokenize", "-m", models["char"], stdin="B\nΩBΩ\n\nΩ\n".encode())
    letter, = load(str(models["char"])).tokenizer.encode("B")
    assert done.text.splitlines() == [str(letter), f"0 {letter} 0", "", "0"]
    assert done.code == 0
    assert done.stderr.startswith("charlm: lines with characters unknown to the model: 2;")
    assert b"<unk>" in run_in_process("tokenize", "-m", models["char"], "--pieces", stdin="Ω\n".encode()).stdout


@pytest.mark.parametrize("bad, shown", [
    ("x", "'x'"), ("-1", "'-1'"), ("1.0", "'1.0'"), ("+1", "'+1'"), ("1_0", "'1_0'"), ("٣", "'٣'"), ("²", "'²'"),
    ("256", "'256'"), ("9" * 30, f"'{'9' * 30}'"), ("9" * 5000, f"'{'9' * 40}'"), ("0x1", "'0x1'"), ("1,2", "'1,2'")])
def test_an_invalid_id_is_reported_with_its_line_and_the_code_is_4(models, bad, shown):
    done = run_in_process("detokenize", "-m", models["byte"], stdin=f"66 97\n66 {bad} 97\r\n\n97".encode())
    assert (done.code, done.stdout) == (4, b"Ba\n\r\n\na")
    warning, error = done.stderr.splitlines()
    assert warning == f"charlm: line 2: {shown} is not an id from 0 to 255"
    assert error.startswith("charlm: error: lines that the model does not accept: 1,")


def test_the_first_ten_of_many_invalid_lines_are_reported(models):
    done = run_in_process("detokenize", "-m", models["byte"], stdin=b"x\n" * 300)
    *warnings, error = done.stderr.splitlines()
    assert done.stdout == b"\n" * 300
    assert [line.split(":")[1] for line in warnings] == [f" line {number}" for number in range(1, 11)]
    assert "accept: 300," in error


def test_ids_may_be_separated_by_any_white_space(models):
    assert detokenize(models["byte"], b"  66\t97   66 \n") == b"BaB\n"


def test_ids_of_bytes_become_exactly_these_bytes(models):
    data = b"\xc3 " + bytes(byte for byte in range(256) if byte != ord("\n"))
    assert detokenize(models["byte"], b"%s\n" % b" ".join(b"%d" % byte for byte in data)) == data + b"\n"


def test_targets_of_pairs_have_ids(pairs_model):
    text = "ABÉ\n\nBA\n".encode()
    assert tokenize(pairs_model, text) == b"1 2 3\n\n2 1\n" and round_trip(text, pairs_model) == text


def test_words_have_ids_and_are_restored(tmp_path):
    (tmp_path / "numbers.tsv").write_text("".join(f"{n}\tone two\n{n + 300}\ttwo\n" for n in range(300)))
    run_in_process("train", "numbers.tsv", "-o", "m.charlm", *BRIEF, "--tokenizer", "word", "--quiet").check()
    assert tokenize("m.charlm", b"two one\n\ntwo") == b"2 1\n\n2"
    assert round_trip(b"two one\r\n\ntwo", "m.charlm") == b"two one\r\n\ntwo"
