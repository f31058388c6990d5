"""From sources to what is learned from and what is held out: where the cut lies, and what is refused."""

import gzip
import os
import threading

import numpy as np
import pytest

from charlm.errors import CorpusError, UsageError
from charlm.text import text_corpus as module
from charlm.text.reading import Text
from charlm.text.tokenizers.base import decode

WORDS = "she sells sea shells by the sea shore\r\nthe shells she sells are surely sea shells\n" * 30


def prepare(sources, *, validation=None, errors="strict", **options):
    """Of sources by name."""
    other = Text(validation, errors) if isinstance(validation, str) else validation
    return module.build_text_corpus([Text(source, errors) for source in sources], validation=other, **options)


def put(folder, text, name="corpus.txt"):
    data = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(data)
    return str(folder / name)


def parts_of(corpus):
    """The two parts as text."""
    return tuple(decode(corpus.tokenizer, part.slice(0, len(part)).tolist())
                 for part in (corpus.train, corpus.validation))


def message_of(sources, **options):
    with pytest.raises(CorpusError) as caught:
        prepare(sources, **options)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
@pytest.mark.parametrize("text", [WORDS, WORDS.replace("shells", "\0\u2581é\ufeff\U0010ffff")])
def test_two_parts_join_to_the_corpus(tmp_path, kind, text):
    corpus = prepare([put(tmp_path, text)], tokenizer=kind)
    train, held_out = parts_of(corpus)
    assert train + held_out == text
    assert (corpus.train_characters, corpus.validation_characters) == (len(train), len(held_out))


def test_tinyshakespeare_is_cut_where_others_cut_it(tmp_path):
    text = ("to be or not\n" * 85_800)[:1_115_393] + "#"
    corpus = prepare([put(tmp_path, text)])
    assert (corpus.train_characters, corpus.validation_characters) == (1_003_854, 111_540)
    assert (len(corpus.train), len(corpus.validation)) == (1_003_854, 111_540)
    last = corpus.tokenizer.encode("#").tolist()
    assert corpus.validation.slice(111_539, 111_540).tolist() == last


def test_cut_counts_characters_and_not_bytes(tmp_path):
    corpus = prepare([put(tmp_path, "€" * 50 + "a" * 50)])
    assert (corpus.train_characters, corpus.validation_characters) == (90, 10)


def test_held_out_part_has_an_upper_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_HELD_OUT", 40)
    path = put(tmp_path, "ab" * 500)
    assert prepare([path]).validation_characters == 40
    assert prepare([path], validation=0.2).validation_characters == 200     # unless it is asked for


@pytest.mark.parametrize("fraction, held_out", [(0.5, 50), (0.25, 25), (0.001, 1), (0.999, 98)])
def test_fraction_says_how_much_of_the_end_is_held_out(tmp_path, fraction, held_out):
    corpus = prepare([put(tmp_path, "0123456789" * 10)], validation=fraction)
    assert corpus.validation_characters == held_out
    assert parts_of(corpus)[1] == ("0123456789" * 10)[-held_out:]


def test_another_text_can_be_held_out(tmp_path):
    learned, held_out = put(tmp_path, "abc\n" * 10, "a.txt"), put(tmp_path, "\ufeffcab?", "b.txt")
    corpus = prepare([learned], validation=held_out)
    assert parts_of(corpus) == ("abc\n" * 10, "cab\ufffd")
    assert (corpus.train_characters, corpus.validation_characters) == (40, 4)
    assert corpus.digest != prepare([learned]).digest


def test_no_character_of_the_held_out_end_is_unknown(tmp_path):
    corpus = prepare([put(tmp_path, "a" * 99 + "z")])
    assert corpus.tokenizer.unknown_id not in corpus.validation.slice(0, 10).tolist()


def test_held_out_text_does_not_add_to_the_vocabulary(tmp_path):
    held_out = put(tmp_path, "xyz", "other.txt")
    assert prepare([put(tmp_path, "abcabc")], validation=held_out).tokenizer.size == 4


def test_sources_are_one_text(tmp_path):
    sources = [put(tmp_path, "ab", "1.txt"), put(tmp_path, gzip.compress(b"cd"), "2.gz"), put(tmp_path, "\r\nef", "3.txt")]
    assert "".join(parts_of(prepare(sources))) == "abcd\r\nef"


def test_digest_follows_the_text_and_not_its_files(tmp_path):
    whole = prepare([put(tmp_path, "abcdef")]).digest
    halves = [put(tmp_path, "abc", "1.txt"), put(tmp_path, gzip.compress(b"def"), "2.gz")]
    assert prepare(halves).digest == whole
    assert prepare([put(tmp_path, "abcdeF")]).digest != whole
    assert prepare([put(tmp_path, "abcdef")], tokenizer="byte").digest == whole


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
    corpus = prepare([put(tmp_path, text)])
    assert parts_of(corpus) == (text[:2], text[2])


@pytest.mark.parametrize("fraction", [None, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("length", range(3, 30))
def test_each_part_keeps_what_it_needs(tmp_path, length, fraction):
    corpus = prepare([put(tmp_path, "x" * length)], validation=fraction, tokenizer="byte")
    assert len(corpus.train) >= 2 and len(corpus.validation) >= 1
    assert len(corpus.train) + len(corpus.validation) == length


def test_text_of_too_few_tokens_is_refused_with_a_way_out(tmp_path):
    assert "--tokenizer char" in message_of([put(tmp_path, "abc")], tokenizer="bpe")    # "ab" is one piece


def test_empty_held_out_text_is_refused(tmp_path):
    message_of([put(tmp_path, "abc" * 10)], validation=put(tmp_path, "", "none.txt"))


def test_empty_held_out_text_is_named(tmp_path):
    assert "none.txt" in message_of([put(tmp_path, "abc" * 10)], validation=put(tmp_path, "", "none.txt"))


@pytest.mark.parametrize("content, word", [(b"abc\xff", "offset 3;"), (None, "No such file")])
def test_held_out_text_is_named_when_it_is_refused(tmp_path, content, word):
    held_out = str(tmp_path / "held-out.txt")
    if content is not None:
        put(tmp_path, content, "held-out.txt")
    message = message_of([put(tmp_path, "abc" * 10)], validation=held_out)
    assert "held-out.txt" in message and word in message


def test_errors_apply_to_both_texts(tmp_path):
    learned, held_out = put(tmp_path, b"ab\xffc", "a.txt"), put(tmp_path, b"c\xffa", "b.txt")
    assert parts_of(prepare([learned], validation=held_out, errors="replace")) == ("ab\ufffdc", "c\ufffda")
    assert parts_of(prepare([learned], validation=held_out, errors="ignore")) == ("abc", "ca")


def test_bad_byte_is_refused_without_being_asked_to_ignore_it(tmp_path):
    assert "byte 0x80 at offset 2;" in message_of([put(tmp_path, b"ab\x80cd")])


def test_corpus_that_shrinks_after_reading_does_not_matter(tmp_path):
    path = put(tmp_path, WORDS)
    corpus = prepare([path])
    os.truncate(path, 0)
    assert "".join(parts_of(corpus)) == WORDS
    assert corpus.train.ring(np.array([0]), len(WORDS)).shape == (1, len(WORDS))


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
def test_corpus_is_read_once_so_a_fifo_serves(tmp_path, kind):
    path = str(tmp_path / "fifo")
    os.mkfifo(path)

    def write():
        with open(path, "wb") as stream:
            stream.write(WORDS.encode())

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    assert "".join(parts_of(prepare([path], tokenizer=kind))) == WORDS
    thread.join(5)


def test_nothing_is_left_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    path = put(tmp_path, WORDS)
    corpus = prepare([path])
    assert os.listdir(tmp_path) == ["corpus.txt"]
    assert len(corpus.train) == corpus.train_characters


def test_vocabulary_size_reaches_the_tokenizer(tmp_path):
    assert prepare([put(tmp_path, "aaabbc\n")], vocabulary_size=3).tokenizer.size == 3
    with pytest.raises(UsageError, match="--vocab-size"):
        prepare([put(tmp_path, "abc")], tokenizer="byte", vocabulary_size=10)


def test_facts_count_characters_and_tokens_of_both_parts(tmp_path):
    corpus = prepare([put(tmp_path, "é" * 20)], tokenizer="byte")
    assert corpus.metadata() == {"train_characters": 18, "train_tokens": 36, "validation_characters": 2, "corpus_digest": corpus.digest}
    assert corpus.describe() == "18 characters to learn from, 2 held out, byte vocabulary of 256"


def test_what_is_read_is_what_is_written(tmp_path):
    corpus = prepare([put(tmp_path, "abc")])
    assert corpus.source_tokenizer is corpus.tokenizer and corpus.separate_source is None
