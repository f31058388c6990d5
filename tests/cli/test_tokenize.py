"""`charlm tokenize` and `charlm detokenize`: exact inverses. What they share with other filters
is in test_line_reader.py."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.modelfile import load
from tests.helpers.runners import run_in_process

TOKENIZERS = ("char", "byte", "bpe", "unigram")
LETTERS = "O'Ban\n\r\0\t ▁\ufeff\x85\u2028é日\U0001f600\x1b"
RAW = "\ufeffO'Ban\n\n▁ a ▁▁é\r\n\0\0日\r\n\n  \t\U0001f600\rB"


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A model of lines for each tokenizer; all characters of these tests are known to each."""
    folder = tmp_path_factory.mktemp("tokenizers")
    (folder / "text").write_bytes("".join(f"x{letter} Banan {letter}O'\n" for letter in LETTERS * 9).encode())
    for kind in TOKENIZERS:
        run_in_process("train", folder / "text", "-o", folder / kind, "--text", "--tokenizer", kind, "--hidden", 4, "--layers", 1, "--embedding", 4, "--steps", 1, "--quiet").check().stdout
    return {kind: folder / kind for kind in TOKENIZERS}


@pytest.fixture(params=TOKENIZERS)
def tokenized(request, models):
    """A function from a text to what tokenize writes, and the tokenizer."""
    model = models[request.param]
    return lambda data, *flags: run_in_process("tokenize", "-m", model, *flags, stdin=data).check().stdout, load(str(model)).tokenizer


def there_and_back(through, data, model):
    return run_in_process("detokenize", "-m", model, stdin=run_in_process("tokenize", "-m", model, stdin=data).check().stdout).check().stdout


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("data", [
    RAW.encode(), b"", b"\n", b"\n\n", b"a", b"a\n", b"\r", b"\r\n", b"a\r\r\n", "\ufeff".encode(), "\ufeff\ufeffa".encode(),
    "\ufeff\n".encode(), "a\n\ufeffB\n".encode(), " \n ".encode(), "▁".encode(), "\ufeff\r\n".encode()], ids=repr)
def test_detokenize_gives_back_every_byte(models, kind, data):
    assert there_and_back(through, data, models[kind]) == data


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(text=st.text(st.one_of(st.sampled_from(LETTERS), st.sampled_from("\n\r")), max_size=60))
@settings(deadline=None, max_examples=25)
def test_detokenize_gives_back_any_text_of_known_characters(models, kind, text):
    assert there_and_back(through, text.encode(), models[kind]) == text.encode()


@pytest.mark.parametrize("kind", ["byte", "bpe", "unigram"])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
@settings(deadline=None, max_examples=25)
def test_detokenize_gives_back_any_text_where_no_character_is_unknown(models, kind, text):
    assert there_and_back(through, text.encode(), models[kind]) == text.encode()


def test_a_line_of_50000_characters_comes_back(models):
    data = ("é▁ Banan" * 6250 + "\n").encode()
    for model in models.values():
        assert there_and_back(through, data, model) == data


def test_ids_are_decimal_a_space_between_them_and_one_line_a_line(tokenized):
    write, tokenizer = tokenized
    lines = RAW.removeprefix("\ufeff").split("\n")
    rows = write(RAW.encode()).decode().removeprefix("\ufeff").split("\n")
    assert [[int(word) for word in row.split()] for row in rows] == [
        tokenizer.encode(line.removesuffix("\r")).tolist() if line.removesuffix("\r") else [] for line in lines]
    assert all(row.removesuffix("\r") == " ".join(row.split()) for row in rows)
    assert [row.endswith("\r") for row in rows] == [line.endswith("\r") for line in lines]


def test_ids_of_bytes_are_the_bytes(models):
    assert run_in_process("tokenize", "-m", models["byte"], stdin="né\n".encode()).check().stdout == b"110 195 169\n"
    assert run_in_process("detokenize", "-m", models["byte"], stdin=b"110 195 169\n").check().stdout == "né\n".encode()


def test_pieces_are_readable_and_as_many_as_ids(tokenized):
    write, _ = tokenized
    data = "x Banan\n\né \x1b\0\tB\n".encode()
    pieces = [row.split(" ") for row in write(data, "--pieces").decode().split("\n")]
    ids = [row.split(" ") for row in write(data).decode().split("\n")]
    assert [len(row) for row in pieces] == [len(row) for row in ids]
    assert "".join(pieces[0]) == "x▁Banan" and pieces[1] == [""]
    assert not set("\x1b\0") & set("".join(pieces[2]))


def test_pieces_of_a_torn_character_are_its_bytes(models):
    assert run_in_process("tokenize", "-m", models["byte"], "--pieces", stdin="é日\n".encode()).check().stdout == (
        b"<0xC3> <0xA9> <0xE6> <0x97> <0xA5>\n")


def test_an_unknown_character_is_told_of_and_counted_by_lines(models):
    done = run_in_process("tokenize", "-m", models["char"], stdin="B\nΩBΩ\n\nΩ\n".encode())
    letter, = load(str(models["char"])).tokenizer.encode("B")
    assert done.text.splitlines() == [str(letter), f"0 {letter} 0", "", "0"]
    assert done.code == 0
    assert done.stderr.startswith("charlm: lines with characters unknown to the model: 2;")
    assert b"<unk>" in run_in_process("tokenize", "-m", models["char"], "--pieces", stdin="Ω\n".encode()).stdout


@pytest.mark.parametrize("bad, told", [
    ("x", "'x'"), ("-1", "'-1'"), ("1.0", "'1.0'"), ("+1", "'+1'"), ("1_0", "'1_0'"), ("٣", "'٣'"), ("²", "'²'"),
    ("256", "'256'"), ("9" * 30, f"'{'9' * 30}'"), ("9" * 5000, f"'{'9' * 40}'"), ("0x1", "'0x1'"), ("1,2", "'1,2'")])
def test_what_is_no_id_is_told_of_with_its_line_all_others_are_answered_and_the_code_is_4(models, bad, told):
    done = run_in_process("detokenize", "-m", models["byte"], stdin=f"66 97\n66 {bad} 97\r\n\n97".encode())
    assert (done.code, done.stdout) == (4, b"Ba\n\r\n\na")
    line, error = done.stderr.splitlines()
    assert line == f"charlm: line 2: {told} is not an id from 0 to 255"
    assert error.startswith("charlm: error: lines that the model does not accept: 1,")


def test_of_many_lines_that_are_none_ten_are_told(models):
    done = run_in_process("detokenize", "-m", models["byte"], stdin=b"x\n" * 300)
    *told, error = done.stderr.splitlines()
    assert done.stdout == b"\n" * 300
    assert [line.split(":")[1] for line in told] == [f" line {number}" for number in range(1, 11)]
    assert "accept: 300," in error


def test_ids_may_stand_apart_by_any_space(models):
    assert run_in_process("detokenize", "-m", models["byte"], stdin=b"  66\t97   66 \n").check().stdout == b"BaB\n"


def test_ids_that_are_torn_characters_become_replacement_characters(models):
    assert run_in_process("detokenize", "-m", models["byte"], stdin=b"195\n169 66\n").check().text == "\ufffd\n\ufffdB\n"


def test_targets_of_pairs_have_ids_too(pairs_model):
    text = "ABÉ\n\nBA\n".encode()
    ids = run_in_process("tokenize", "-m", pairs_model, stdin=text).check().stdout
    assert ids == b"1 2 3\n\n2 1\n" and run_in_process("detokenize", "-m", pairs_model, stdin=ids).check().stdout == text


def test_words_have_ids_and_come_back(tmp_path):
    (tmp_path / "numbers.tsv").write_text("".join(f"{n}\tone two\n{n + 300}\ttwo\n" for n in range(300)))
    run_in_process("train", tmp_path / "numbers.tsv", "-o", tmp_path / "m.charlm", "--hidden", 4, "--layers", 1, "--steps", 1, "--tokenizer", "word", "--quiet").check()
    assert run_in_process("tokenize", "-m", tmp_path / "m.charlm", stdin=b"two one\n\ntwo").check().stdout == b"2 1\n\n2"
    assert there_and_back(through, b"two one\r\n\ntwo", tmp_path / "m.charlm") == b"two one\r\n\ntwo"
