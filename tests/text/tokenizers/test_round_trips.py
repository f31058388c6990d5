"""All tokenizers of running text: decoding undoes encoding, and ids do not depend on how a text is cut.

Not here: decomposed characters (test_nfd.py), words (test_word.py).
"""

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlm.errors import CharlmError, CorpusError, ModelFileError, UsageError
from charlm.text.tokenizers.base import decode, encode_chunks, tokens_containing
from charlm.text.tokenizers.registry import from_tensors, tensor_shapes, train

KINDS = ("char", "byte", "bpe", "unigram")
OPEN_KINDS = ("byte", "bpe", "unigram")     # they know every character
PLAIN = "she sells sea shells by the sea shore\nthe shells she sells are surely sea shells\r\n" * 20
ODD = ("\0", "\ufeff", "\r\n", "\n\n", "\u2581", "\u2585", "\U0010ffff", "e\u0301", "\u00e9", "<unk>", "<0x41>", "<s>",
       "\t", "  ", "\x85", "\u2028", "\u200b", "\ue000", "\ufffd", "\U0001f469\u200d\U0001f680")
TEXT = st.lists(st.one_of(st.sampled_from(ODD), st.sampled_from(["sea ", "shells", "\n"]),
                          st.text(st.characters(exclude_categories=["Cs"])))).map("".join)


@functools.cache
def learned(kind, text=PLAIN):
    return train(kind, [text], vocabulary_size=None)


def ids_of(tokenizer, chunks):
    return [index for ids in encode_chunks(tokenizer, chunks) for index in ids.tolist()]


def split_at(text, positions):
    """Return the text cut at these positions."""
    borders = [0, *sorted({min(position, len(text)) for position in positions}), len(text)]
    return [text[low:high] for low, high in itertools.pairwise(borders)]


@pytest.mark.parametrize("kind", OPEN_KINDS)
@settings(deadline=None)
@given(text=TEXT)
@example(text="".join(ODD))
@example(text="\n")
@example(text=" \n ")
@example(text="\u2581\n\u2581\u2581 \u2581")
@example(text="sea" + "x" * 2500 + "\u2581" * 2500)
def test_decoding_undoes_encoding(kind, text):
    tokenizer = learned(kind)
    assert decode(tokenizer, tokenizer.encode(text)) == text


@settings(deadline=None)
@given(text=TEXT)
def test_decoding_undoes_encoding_of_known_characters(text):
    tokenizer = train("char", [text], vocabulary_size=None)
    assert decode(tokenizer, tokenizer.encode(text)) == text


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(text=TEXT, cuts=st.lists(st.integers(0, 60)))
@example(text="sea shells " * 300 + "\n" + "sea shells " * 100, cuts=[1, 995, 1000, 1003, 2500, 3300, 3302])
def test_chunking_does_not_change_ids(kind, text, cuts):
    tokenizer = learned(kind)
    assert ids_of(tokenizer, split_at(text, cuts)) == tokenizer.encode(text).tolist()


@pytest.mark.parametrize("kind", [*KINDS, "nfd", "word"])
@settings(deadline=None)
@given(texts=st.lists(TEXT))
@example(texts=["plain", "\u0301after", "", "e\u0301"])
def test_many_texts_are_encoded_as_each_alone(kind, texts):
    tokenizer = learned(kind)
    ids, lengths = tokenizer.encode_each(texts)
    alone = [tokenizer.encode(text).tolist() for text in texts]
    assert ids.tolist() == sum(alone, []) and lengths.tolist() == [*map(len, alone)]


@settings(deadline=None)
@given(text=TEXT, size=st.integers(2, 9))
def test_a_long_text_is_counted_as_its_pieces(text, size):
    pieces = [text] * 2000
    whole, parts = (train("char", chunks, vocabulary_size=size).tensors() for chunks in (["".join(pieces)], pieces))
    assert {name: array.tolist() for name, array in whole.items()} == {
        name: array.tolist() for name, array in parts.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_single_characters_give_the_same_ids(kind):
    tokenizer, text = learned(kind), "shells\r\n\u2581<unk> e\u0301" + "sea " * 400
    assert ids_of(tokenizer, text) == tokenizer.encode(text).tolist()


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(text=TEXT)
def test_ids_lie_within_the_vocabulary(kind, text):
    ids = learned(kind).encode(text)
    assert ids.dtype == np.int32
    assert all(0 <= index < learned(kind).size for index in ids.tolist())


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(text=TEXT)
def test_unsampleable_ids_are_encoded_only_as_unknown(kind, text):
    tokenizer = learned(kind)
    banned = set(tokenizer.unsampleable_ids) - {tokenizer.unknown_id}
    assert not banned & set(tokenizer.encode(text).tolist())


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(text=TEXT)
def test_streamed_decoding_gives_the_decoded_text(kind, text):
    tokenizer = learned(kind)
    ids, decoder = tokenizer.encode(text).tolist(), learned(kind).decoder()
    pieces = [decoder.push([index]) for index in ids] + [decoder.flush()]
    assert "".join(pieces) == decode(tokenizer, ids)
    assert kind == "char" or "".join(pieces) == text


@pytest.mark.parametrize("kind", KINDS)
def test_empty_text_has_no_ids(kind):
    assert learned(kind).encode("").tolist() == []
    assert ids_of(learned(kind), ["", ""]) == []
    assert decode(learned(kind), []) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_start_id_is_the_newline(kind):
    tokenizer = learned(kind)
    assert tokenizer.encode("\n").tolist() == [tokenizer.start_id]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(text=TEXT)
def test_rebuilt_tokenizer_gives_the_same_ids(kind, text):
    tokenizer = learned(kind)
    rebuilt = rebuilt_of(kind)
    assert (rebuilt.kind, rebuilt.size, rebuilt.start_id) == (kind, tokenizer.size, tokenizer.start_id)
    assert rebuilt.unsampleable_ids == tokenizer.unsampleable_ids
    assert rebuilt.unknown_surprisal == tokenizer.unknown_surprisal
    assert rebuilt.encode(text).tolist() == tokenizer.encode(text).tolist()


@functools.cache
def rebuilt_of(kind):
    return from_tensors(kind, learned(kind).tensors())


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_have_the_shapes_that_model_files_expect(kind):
    dtypes = {"U32": np.uint32, "U8": np.uint8}
    shapes = {name: (array.dtype, array.ndim) for name, array in learned(kind).tensors().items()}
    assert shapes == {name: (dtypes[dtype], dimensions)
                         for name, (dtype, dimensions) in tensor_shapes(kind).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_deterministic(kind):
    first, second = (train(kind, [PLAIN], vocabulary_size=None).tensors() for _ in range(2))
    assert {name: array.tobytes() for name, array in first.items()} == {
        name: array.tobytes() for name, array in second.items()}


def test_unknown_kind_is_refused():
    with pytest.raises(ModelFileError, match="wordpiece"):
        from_tensors("wordpiece", {})


# Characters

def test_characters_are_numbered_in_code_point_order_from_1():
    tokenizer = train("char", ["ba\n", "\U0010ffffa"], vocabulary_size=None)
    assert tokenizer.size == 5
    assert tokenizer.encode("\nab\U0010ffff").tolist() == [1, 2, 3, 4]


def test_unseen_character_is_decoded_as_one_character():
    tokenizer = train("char", ["ab\n"], vocabulary_size=None)
    ids = tokenizer.encode("axb\0").tolist()
    assert ids == [2, tokenizer.unknown_id, 3, tokenizer.unknown_id]
    assert tokenizer.unknown_id in tokenizer.unsampleable_ids
    assert decode(tokenizer, ids) == "a\ufffdb\ufffd"


def test_text_like_the_unknown_token_is_ordinary_characters():
    tokenizer = train("char", ["<unk>\n"], vocabulary_size=None)
    ids = tokenizer.encode("<unk>").tolist()
    assert len(ids) == 5 and tokenizer.unknown_id not in ids


def test_vocabulary_size_keeps_the_most_frequent_characters():
    tokenizer = train("char", ["aaabbc", "bcccc"], vocabulary_size=3)     # a 3, b 3, c 5
    assert tokenizer.size == 3
    assert decode(tokenizer, tokenizer.encode("abc")) == "a\ufffdc"             # the lower code point wins a tie


def test_unknown_surprisal_spreads_over_all_other_scalar_values():
    tokenizer = train("char", ["abc"], vocabulary_size=None)
    assert tokenizer.unknown_surprisal == pytest.approx(math.log(1_112_064 - 3))


def test_combining_marks_are_separate_characters():
    tokenizer = train("char", ["e\u0301\u00e9"], vocabulary_size=None)
    assert tokenizer.size == 4
    assert tokenizer.encode("e\u0301\u00e9").tolist() == [1, 3, 2]


@pytest.mark.parametrize("codes", [[98, 97], [97, 97], [97, 0x110000], [97, 2 ** 32 - 1]])
def test_character_table_out_of_order_or_range_is_refused(codes):
    with pytest.raises(ModelFileError):
        from_tensors("char", {"tokenizer.characters": np.array(codes, np.uint32)})


def test_character_table_with_a_surrogate_is_refused():
    with pytest.raises(ModelFileError):
        from_tensors("char", {"tokenizer.characters": np.array([10, 0xD800], np.uint32)})


def test_vocabulary_of_one_character_is_a_usage_error():
    with pytest.raises(UsageError, match="--vocab-size"):
        train("char", ["abc"], vocabulary_size=1)


# Bytes

def test_id_of_a_byte_is_its_value():
    tokenizer = learned("byte")
    assert tokenizer.size == 256
    assert tokenizer.encode("a\0é€").tolist() == [97, 0, 0xC3, 0xA9, 0xE2, 0x82, 0xAC]


def test_incomplete_character_is_held_back_and_then_a_surrogate():
    decoder = learned("byte").decoder()
    assert decoder.push([97, 0xE2, 0x82]) == "a"
    assert decoder.push([0xAC]) == "€"
    assert decoder.push([0xE2]) == ""
    assert decoder.push([98]) == "\udce2b"
    assert decoder.push([0xC3]) == ""
    assert decoder.flush() == "\udcc3"


def test_byte_vocabulary_of_another_size_is_a_usage_error():
    assert train("byte", ["a"], vocabulary_size=256).size == 256
    with pytest.raises(UsageError, match="--vocab-size"):
        train("byte", ["a"], vocabulary_size=255)


# Subwords

@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_subwords_are_fewer_than_characters(kind):
    assert len(learned(kind).encode(PLAIN)) < len(PLAIN) / 2


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_subword_vocabulary_has_the_size_asked_for(kind):
    text = PLAIN + "peter piper picked a peck of pickled peppers\n" * 5
    assert train(kind, [text], vocabulary_size=290).size == 290


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("size", [2, 257, 100_000])
def test_impossible_subword_vocabulary_size_is_a_usage_error(kind, size):
    with pytest.raises(UsageError, match=f"--vocab-size {size}"):
        train(kind, [PLAIN], vocabulary_size=size)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("text", ["\n\t\n", "\0" * 50, "\u2581" * 50])
def test_text_without_anything_to_learn_from_is_refused(kind, text):
    with pytest.raises(CorpusError, match="--tokenizer char"):
        train(kind, [text], vocabulary_size=None)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("odd", ODD)
def test_text_full_of_reserved_strings_survives(kind, odd):
    text = ("sea" + odd + "shells\n") * 30
    tokenizer = learned(kind, text)
    assert decode(tokenizer, tokenizer.encode(text)) == text


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_long_line_is_not_dropped_from_learning(kind):
    tokenizer = learned(kind, "sea shells " * 2000)
    assert len(tokenizer.encode("sea shells " * 50)) <= 200


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("model", [b"", b"\0" * 100, b"not a model", bytes(range(256))])
def test_other_bytes_than_a_sentencepiece_model_are_refused(kind, model):
    with pytest.raises(ModelFileError):
        from_tensors(kind, {"tokenizer.sentencepiece": np.frombuffer(model, np.uint8)})


def test_sentencepiece_model_without_byte_pieces_is_refused():
    import io

    from sentencepiece import SentencePieceTrainer
    model = io.BytesIO()
    SentencePieceTrainer.Train(sentence_iterator=iter(PLAIN.split("\n")), model_writer=model, vocab_size=30,
                               hard_vocab_limit=False, minloglevel=3)
    with pytest.raises(ModelFileError):
        from_tensors("unigram", {"tokenizer.sentencepiece": np.frombuffer(model.getvalue(), np.uint8)})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", "a", "ab", "\n"])
def test_tiny_text_is_learned_or_refused_with_our_own_error(kind, text):
    try:
        tokenizer = train(kind, [text], vocabulary_size=None)
    except CharlmError:
        return
    assert decode(tokenizer, tokenizer.encode(text)) == text


def test_subwords_are_learned_from_the_start_of_a_long_text(monkeypatch):
    monkeypatch.setattr("charlm.text.tokenizers.subword.LEARN_FROM", len(PLAIN))
    whole = train("bpe", [PLAIN[:100], PLAIN[100:], "zebra " * 100], vocabulary_size=None)
    assert whole.tensors()["tokenizer.sentencepiece"].tobytes() == \
        train("bpe", [PLAIN[:100], PLAIN[100:]], vocabulary_size=None).tensors()["tokenizer.sentencepiece"].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_containing_line_breaks_decode_to_them(kind):
    tokenizer = learned(kind)
    holding = tokens_containing(tokenizer, "\n\r")
    assert holding == [index for index in range(tokenizer.size) if set("\n\r") & set(tokenizer.display(index))]
    assert {*tokenizer.encode("\n").tolist(), *tokenizer.encode("\r").tolist()} <= set(holding)
