"""From texts to a training part and a held-out part: where the split is, and what is refused."""

import gzip
import os
import threading

import numpy as np
import pytest

from charlm.errors import CorpusError, UsageError
from charlm.text import text_corpus
from charlm.text.reading import Text
from charlm.text.tokenizers.base import decode

WORDS = "she sells sea shells by the sea shore\r\nthe shells she sells are surely sea shells\n" * 30


def build(sources, *, validation=None, errors="strict", **options):
    """Return the corpus of sources by name."""
    held_out = Text(validation, errors) if isinstance(validation, str) else validation
    return text_corpus.build_text_corpus([Text(source, errors) for source in sources], validation=held_out, **options)


def put(folder, text, name="corpus.txt"):
    data = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(data)
    return str(folder / name)


def parts_of(corpus):
    """Return the two parts as text."""
    return tuple(decode(corpus.tokenizer, part.slice(0, len(part)).tolist())
                 for part in (corpus.train, corpus.validation))


def message_of(sources, **options):
    with pytest.raises(CorpusError) as caught:
        build(sources, **options)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
@pytest.mark.parametrize("text", [WORDS, WORDS.replace("shells", "\0\u2581é\ufeff\U0010ffff")])
def test_two_parts_join_to_the_corpus(tmp_path, kind, text):
    corpus = build([put(tmp_path, text)], tokenizer=kind)
    train, held_out = parts_of(corpus)
    assert train + held_out == text
    assert (corpus.train_characters, corpus.validation_characters) == (len(train), len(held_out))


def test_tinyshakespeare_is_split_at_the_customary_character(tmp_path):
    text = ("to be or not\n" * 85_800)[:1_115_393] + "#"
    corpus = build([put(tmp_path, text)])
    assert (corpus.train_characters, corpus.validation_characters) == (1_003_854, 111_540)
    assert (len(corpus.train), len(corpus.validation)) == (1_003_854, 111_540)
    last = corpus.tokenizer.encode("#").tolist()
    assert corpus.validation.slice(111_539, 111_540).tolist() == last


def test_split_is_counted_in_characters(tmp_path):
    corpus = build([put(tmp_path, "€" * 50 + "a" * 50)])
    assert (corpus.train_characters, corpus.validation_characters) == (90, 10)


def test_held_out_part_is_limited_unless_a_fraction_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(text_corpus, "MAX_HELD_OUT", 40)
    path = put(tmp_path, "ab" * 500)
    assert build([path]).validation_characters == 40
    assert build([path], validation=0.2).validation_characters == 200     # not limited


@pytest.mark.parametrize("fraction, held_out", [(0.5, 50), (0.25, 25), (0.001, 1), (0.999, 98)])
def test_fraction_of_the_end_is_held_out(tmp_path, fraction, held_out):
    corpus = build([put(tmp_path, "0123456789" * 10)], validation=fraction)
    assert corpus.validation_characters == held_out
    assert parts_of(corpus)[1] == ("0123456789" * 10)[-held_out:]


def test_a_separate_text_can_be_held_out(tmp_path):
    learned, held_out = put(tmp_path, "abc\n" * 10, "a.txt"), put(tmp_path, "\ufeffcab?", "b.txt")
    corpus = build([learned], validation=held_out)
    assert parts_of(corpus) == ("abc\n" * 10, "cab\ufffd")
    assert (corpus.train_characters, corpus.validation_characters) == (40, 4)
    assert corpus.digest != build([learned]).digest


def test_characters_of_the_held_out_end_are_known(tmp_path):
    corpus = build([put(tmp_path, "a" * 99 + "z")])
    assert corpus.tokenizer.unknown_id not in corpus.validation.slice(0, 10).tolist()


def test_held_out_text_does_not_add_to_the_vocabulary(tmp_path):
    held_out = put(tmp_path, "xyz", "other.txt")
    assert build([put(tmp_path, "abcabc")], validation=held_out).tokenizer.size == 4


def test_sources_are_joined_to_one_text(tmp_path):
    sources = [put(tmp_path, "ab", "1.txt"), put(tmp_path, gzip.compress(b"cd"), "2.gz"),
               put(tmp_path, "\r\nef", "3.txt")]
    assert "".join(parts_of(build(sources))) == "abcd\r\nef"


def test_digest_does_not_depend_on_files(tmp_path):
    whole = build([put(tmp_path, "abcdef")]).digest
    halves = [put(tmp_path, "abc", "1.txt"), put(tmp_path, gzip.compress(b"def"), "2.gz")]
    assert build(halves).digest == whole
    assert build([put(tmp_path, "abcdeF")]).digest != whole
    assert build([put(tmp_path, "abcdef")], tokenizer="byte").digest == whole


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_empty_corpus_is_refused(tmp_path, content):
    message = message_of([put(tmp_path, content)], errors="ignore")
    assert "corpus.txt" in message and "empty" in message


@pytest.mark.parametrize("text", ["a", "ab", "\n", "é€"])
def test_too_short_corpus_is_refused_with_the_minimum(tmp_path, text):
    message = message_of([put(tmp_path, text)])
    assert "corpus.txt" in message and "minimum is 3" in message


@pytest.mark.parametrize("text", ["abc", "\n\n\n", "\0\0\0", "\U0010ffffab"])
def test_three_characters_are_enough(tmp_path, text):
    corpus = build([put(tmp_path, text)])
    assert parts_of(corpus) == (text[:2], text[2])


@pytest.mark.parametrize("fraction", [None, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("length", range(3, 30))
def test_each_part_keeps_its_minimum(tmp_path, length, fraction):
    corpus = build([put(tmp_path, "x" * length)], validation=fraction, tokenizer="byte")
    assert len(corpus.train) >= 2 and len(corpus.validation) >= 1
    assert len(corpus.train) + len(corpus.validation) == length


def test_text_of_too_few_tokens_is_refused_with_advice(tmp_path):
    assert "--tokenizer char" in message_of([put(tmp_path, "abc")], tokenizer="bpe")    # "ab" is one piece


def test_empty_held_out_text_is_refused_by_name(tmp_path):
    assert "none.txt" in message_of([put(tmp_path, "abc" * 10)], validation=put(tmp_path, "", "none.txt"))


@pytest.mark.parametrize("content, word", [(b"abc\xff", "offset 3;"), (None, "No such file")])
def test_refused_held_out_text_is_named(tmp_path, content, word):
    held_out = str(tmp_path / "held-out.txt")
    if content is not None:
        put(tmp_path, content, "held-out.txt")
    message = message_of([put(tmp_path, "abc" * 10)], validation=held_out)
    assert "held-out.txt" in message and word in message


def test_errors_apply_to_both_texts(tmp_path):
    learned, held_out = put(tmp_path, b"ab\xffc", "a.txt"), put(tmp_path, b"c\xffa", "b.txt")
    assert parts_of(build([learned], validation=held_out, errors="replace")) == ("ab\ufffdc", "c\ufffda")
    assert parts_of(build([learned], validation=held_out, errors="ignore")) == ("abc", "ca")


def test_bad_byte_is_refused_by_default(tmp_path):
    assert "byte 0x80 at offset 2;" in message_of([put(tmp_path, b"ab\x80cd")])


def test_corpus_can_shrink_after_it_was_read(tmp_path):
    path = put(tmp_path, WORDS)
    corpus = build([path])
    os.truncate(path, 0)
    assert "".join(parts_of(corpus)) == WORDS
    assert corpus.train.ring(np.array([0]), len(WORDS)).shape == (1, len(WORDS))


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
def test_corpus_can_be_a_fifo(tmp_path, kind):
    path = str(tmp_path / "fifo")
    os.mkfifo(path)

    def write():
        with open(path, "wb") as stream:
            stream.write(WORDS.encode())

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    assert "".join(parts_of(build([path], tokenizer=kind))) == WORDS
    thread.join(5)


def test_nothing_is_left_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    path = put(tmp_path, WORDS)
    corpus = build([path])
    assert os.listdir(tmp_path) == ["corpus.txt"]
    assert len(corpus.train) == corpus.train_characters


def test_vocabulary_size_reaches_the_tokenizer(tmp_path):
    assert build([put(tmp_path, "aaabbc\n")], vocabulary_size=3).tokenizer.size == 3
    with pytest.raises(UsageError, match="--vocab-size"):
        build([put(tmp_path, "abc")], tokenizer="byte", vocabulary_size=10)


def test_metadata_counts_characters_and_tokens(tmp_path):
    corpus = build([put(tmp_path, "é" * 20)], tokenizer="byte")
    assert corpus.metadata() == {"train_characters": 18, "train_tokens": 36, "validation_characters": 2,
                                 "corpus_digest": corpus.digest}
    assert corpus.describe() == "18 characters to learn from, 2 held out, byte vocabulary of 256"


def test_source_tokenizer_is_the_tokenizer(tmp_path):
    corpus = build([put(tmp_path, "abc")])
    assert corpus.source_tokenizer is corpus.tokenizer and corpus.separate_source is None


def noise(seed, characters):
    """Return a text in which no stretch occurs twice."""
    return bytes(np.random.default_rng(seed).integers(97, 123, characters, np.uint8)).decode()


@pytest.mark.parametrize("before, shared, share", [
    (0, 30_000, "all"), (12_345, 30_000, "all"), (0, 9_000, "30 %"), (7, 15_050, "50 %"), (0, 150, ""), (0, 0, "")])
def test_a_held_out_text_that_is_learned_is_reported_with_its_share(tmp_path, monkeypatch, before, shared, share):
    monkeypatch.setattr("charlm.text.spool.CHUNK", 1000)    # so that stretches cross chunks
    held_out = noise(0, 30_000)
    path = put(tmp_path, noise(1, before) + held_out[:shared] + noise(2, 20_000))
    remarks = build([path], validation=put(tmp_path, held_out, "held.txt")).remarks
    assert [remark.partition(" of the held-out text is in")[0] for remark in remarks] == [share][:bool(share)]


def test_a_text_that_is_its_own_held_out_text_is_reported(tmp_path):
    path = put(tmp_path, "short")
    assert build([path], validation=path).remarks[0].startswith("all of the held-out text is in the training text")
    assert build([path]).remarks == ()
