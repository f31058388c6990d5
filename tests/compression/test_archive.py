"""Compressed files: any bytes come back, any damage is refused before it is decoded."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.compression import archive
from charlm.compression.archive import Decompressor, Settings, split_blocks
from charlm.compression.blocks import BlockCoder
from charlm.compression.predictor import Predictor
from charlm.compression.spelling import Spelling
from charlm.errors import ArchiveError, UsageError
from charlm.modelfile import save
from tests.helpers.compression import DIGEST, compress, decompress, model_of, random_bytes
from tests.helpers.texts import VERSES

TEXT = VERSES[:300].encode()
LENGTHS = "".join(map(chr, [0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFD, 0xFFFF, 0x10000, 0x10FFFF, 0x2581, 0xFEFF])).encode()
HOSTILE = {
    "nothing": b"", "text": TEXT, "one byte": b"\xff", "newlines": b"\n\n\r\n", "one character": b"g" * 1000,
    "random bytes": random_bytes(500), "every byte": bytes(range(256)), "every UTF-8 length": LENGTHS * 5,
    "cut characters": "é€😀".encode()[:-1] + TEXT[:200] + b"\xc3", "a surrogate": b"\xed\xb2\x80 and \xc0\x80" + TEXT,
    "some unknown characters": "ten green bottles – señor Ωmega, ".encode() * 20, "\0 in text": b"a\0" * 50}
KINDS = ["char", "byte", "bpe", "unigram"]


def flip(data, at, bit):
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:]


@pytest.mark.parametrize("kind, task, content", [(kind, task, content) for kind in KINDS for task in ("text", "lines")
                                                 for content in HOSTILE])
def test_any_bytes_come_back(kind, task, content):
    data, model = HOSTILE[content], model_of(kind, task)
    file = compress(data, model)
    assert decompress(file, model) == data
    assert len(file) <= len(data) + 50


@pytest.mark.parametrize("lanes", [1, 2, 7, 256])
@pytest.mark.parametrize("adaptive", [False, True])
def test_blocks_in_lanes_come_back(monkeypatch, lanes, adaptive):
    monkeypatch.setattr(archive, "BLOCK", 90)
    monkeypatch.setattr(archive, "_LANE_BLOCK", 13)
    data = TEXT + random_bytes(95) + "Ω".encode() * 90 + TEXT[:101]
    file = compress(data, model_of(), lanes=lanes, adaptive=adaptive)
    assert decompress(file, model_of()) == data


def test_a_file_is_compressed_again_and_a_model_file_too(tmp_path):
    model = model_of("byte")
    save(str(tmp_path / "m"), model)
    for data in (compress(TEXT, model), compress(compress(TEXT, model), model), (tmp_path / "m").read_bytes()[:3000]):
        assert decompress(compress(data, model, lanes=16, adaptive=True), model) == data


@settings(max_examples=15, deadline=None)
@given(st.binary(max_size=80) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
       st.sampled_from(KINDS), st.sampled_from(["text", "lines"]), st.integers(1, 5), st.booleans())
def test_random_bytes_come_back(data, kind, task, lanes, adaptive):
    model = model_of(kind, task)
    assert decompress(compress(data, model, lanes=lanes, adaptive=adaptive), model) == data


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(st.lists(st.binary(max_size=30) | st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass"))
                | st.just(TEXT), max_size=5).map(b"".join),
       st.sampled_from(KINDS), st.sampled_from(["text", "lines"]), st.integers(1, 40), st.booleans())
def test_2000_random_files_come_back(data, kind, task, lanes, adaptive):
    model = model_of(kind, task)
    assert decompress(compress(data, model, lanes=lanes, adaptive=adaptive), model) == data


def test_what_is_learned_makes_repeated_text_smaller():
    data, model = TEXT * 5, model_of()
    assert len(compress(data, model, adaptive=True)) < 0.6 * len(compress(data, model))
    assert len(compress(data, model)) < len(data)


def test_unknown_characters_cost_little_more_than_their_bytes():
    unknown = "".join(map(chr, np.random.default_rng(0).integers(0x400, 0x480, 300)))
    with_them, without = ("".join(f"green bottles {letter}" for letter in letters).encode()
                          for letters in (unknown, "." * 300))
    sizes = [len(compress(text, model_of(), lanes=16, adaptive=True)) for text in (with_them, without)]
    assert sizes[0] - sizes[1] < 300 * 2


def damaged(file):
    """Every cut of a file, every flip of a bit, and a byte too many."""
    yield from (file[:length] for length in range(len(file)))
    yield from (flip(file, at, bit) for at in range(len(file)) for bit in range(8))
    yield file + b"\0"


def test_all_damage_is_found_before_anything_is_decoded(monkeypatch):
    file, reader = compress(TEXT[:120], model_of()), Predictor(model_of())
    monkeypatch.setattr(BlockCoder, "decode", lambda *args: pytest.fail("decoded"))
    for case in damaged(file):
        with pytest.raises(ArchiveError):
            list(Decompressor(io.BytesIO(case).read).blocks(reader))
        with pytest.raises(ArchiveError):
            Decompressor(io.BytesIO(case).read).check()


@pytest.mark.parametrize("partial", [False, True])
def test_no_block_with_damaged_bytes_reaches_the_decoder(monkeypatch, partial):
    monkeypatch.setattr(archive, "BLOCK", 30)
    monkeypatch.setattr(archive, "_LANE_BLOCK", 30)
    file, reader, decoded = compress(TEXT[:120], model_of()), Predictor(model_of()), []
    texts = list(split_blocks(io.BytesIO(TEXT[:120]).read, 30))
    monkeypatch.setattr(BlockCoder, "decode", lambda self, code, count: decoded.append(code) or texts[len(decoded) - 1])
    assert list(Decompressor(io.BytesIO(file).read).blocks(reader)) == texts and len(texts) >= 4
    ends = [file.index(code) + len(code) + 4 for code in decoded]           # after the check of the file
    for at in range(len(Settings(DIGEST).header()), len(file)):
        decoded.clear()
        decompressor, found = Decompressor(io.BytesIO(flip(file, at, at % 8)).read), []
        with pytest.raises(ArchiveError):
            found.extend(decompressor.blocks(reader, partial=partial))
        whole = sum(end <= at for end in ends)
        assert len(decoded) == (whole if partial else max(whole - 1, 0))


def test_a_text_that_decodes_differently_is_not_yielded(monkeypatch):
    file, model = compress(TEXT, model_of()), model_of()
    monkeypatch.setattr(BlockCoder, "decode", lambda self, code, count: TEXT[:-1] + b"?")
    with pytest.raises(ArchiveError, match="decodes to a different text"):
        decompress(file, model)


def test_blocks_are_cut_between_characters():
    text = ("aé€😀" * 5).encode()
    for size, step in itertools.product(range(4, 30), (1, 3, 100)):
        rest = iter([text[at:at + step] for at in range(0, len(text), step)])
        blocks = list(split_blocks(lambda count, rest=rest: next(rest, b""), max(size, step)))
        assert b"".join(blocks) == text and all(block.decode() for block in blocks)


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_spell_what_they_were_made_from(kind):
    for task, data in itertools.product(("text", "lines"), HOSTILE.values()):
        spelling = Spelling(model_of(kind, task).tokenizer, lines=task == "lines")
        spelled = spelling.spell(data)
        assert spelling.join(spelled.tokens, iter(spelled.escapes.values())) == data


def test_models_that_read_something_else_are_refused():
    for task in ("labels", "pairs", "fill"):
        model = model_of()
        with pytest.raises(UsageError, match="does not compress"):
            Predictor(type(model)(model.config, model.tokenizer, model.weights, {}, task))
    with pytest.raises(UsageError, match="encoder"):
        Predictor(model_of(encoder="stacked", source_vocabulary_size=model_of().config.vocabulary_size, window=8))
