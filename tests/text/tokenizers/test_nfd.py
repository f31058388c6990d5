"""Decomposed characters: an unseen one is known if its parts are, whichever way it is spelled."""

import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlm.text.tokenizers.base import decode, encode_chunks
from charlm.text.tokenizers.registry import from_tensors, tensor_shapes, train

TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]),
                         st.sampled_from("é\u0301\u0323ǭ한글\u1100\u1161\u11a8ạ̈\u212b\u2028\0")))


def nfd(*texts, size=None):
    return train("nfd", texts, vocabulary_size=size)


def unknown(tokenizer, text):
    return (tokenizer.encode(text) == tokenizer.unknown_id).sum()


def test_hangul_syllable_is_split_into_letters():
    tokenizer = nfd("한")
    assert decode(tokenizer, tokenizer.encode("한").tolist()) == "\u1112\u1161\u11ab"
    assert tokenizer.size == 1 + 3


def test_letters_of_an_unseen_syllable_are_known():
    tokenizer = nfd("한", "가")
    assert not unknown(tokenizer, "간") and not unknown(tokenizer, "하")
    assert unknown(tokenizer, "곤") == 1                    # only its vowel is new
    assert unknown(train("char", ["한", "가"], vocabulary_size=None), "간") == 1


def test_parts_of_an_unseen_accented_letter_are_known():
    tokenizer = nfd("résumé", "über", "ọ")
    assert not unknown(tokenizer, "ö") and not unknown(tokenizer, "ọ́")
    assert unknown(tokenizer, "ñ") == 2                     # neither n nor the tilde occurs
    assert unknown(train("char", ["résumé", "über"], vocabulary_size=None), "ö") == 1


@settings(deadline=None)
@given(text=TEXT)
def test_composed_and_decomposed_spellings_have_the_same_ids(text):
    tokenizer = nfd(text)
    spellings = [text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)]
    assert len({tuple(tokenizer.encode(spelling).tolist()) for spelling in spellings}) == 1
    assert not unknown(tokenizer, text)


@settings(deadline=None)
@given(text=TEXT)
def test_decoding_gives_the_decomposed_text(text):
    tokenizer = nfd(text)
    assert decode(tokenizer, tokenizer.encode(text).tolist()) == unicodedata.normalize("NFD", text)


def test_decomposition_is_canonical():
    tokenizer = nfd("fi2", "ﬁ²")
    assert tokenizer.encode("ﬁ").tolist() != tokenizer.encode("fi").tolist()


def test_limited_vocabulary_counts_decomposed_characters():
    tokenizer = nfd("éèêe", size=2)                         # <unk>, and e, which occurs four times
    assert tokenizer.encode("eé").tolist() == [1, 1, 0]


def test_rebuilt_tokenizer_decomposes_characters_too():
    tokenizer = nfd("résumé 한국")
    rebuilt = from_tensors("nfd", tokenizer.tensors())
    assert (rebuilt.kind, rebuilt.size) == ("nfd", tokenizer.size)
    assert rebuilt.encode("é국").tolist() == tokenizer.encode("é국").tolist() and len(rebuilt.encode("é국")) == 5
    assert tensor_shapes("nfd") == {name: ("U32", values.ndim) for name, values in tokenizer.tensors().items()}


@settings(deadline=None)
@given(text=TEXT, cut=st.integers(0, 20))
@example(text="a\u0301\u0323", cut=2)
def test_chunking_does_not_change_ids(text, cut):
    tokenizer = nfd(text)
    ids = [index for ids in encode_chunks(tokenizer, [text[:cut], text[cut:]]) for index in ids.tolist()]
    assert ids == tokenizer.encode(text).tolist()
