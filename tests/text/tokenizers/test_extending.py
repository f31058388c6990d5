"""Extended vocabularies: they keep the old symbols, add new ones, and map every old id to its new one."""

import pytest

from charlm.text.tokenizers.registry import Extendable, train

OLD, MORE = "sea shell\u00e9 \u0301x", "\x00aq sea \u00fc \U0010ffff"


def learned(kind, text):
    return train(kind, [text], vocabulary_size=270 if kind in ("bpe", "unigram") else None)


@pytest.mark.parametrize("kind, symbols", [
    ("char", sorted(set(OLD + MORE))), ("word", sorted({*OLD.split(" "), *MORE.split(" ")})),
    ("nfd", sorted(set("sea shelle \u0301x\x00aqu\u0308\U0010ffff")))])
def test_extended_vocabulary_is_that_of_both_texts(kind, symbols):
    extended = train(Extendable(learned(kind, OLD)), [MORE], vocabulary_size=None)
    assert extended.kind == kind and extended.size == len(symbols) + 1
    assert [extended.display(index) for index in range(1, extended.size)] == symbols
    assert extended.unknown_id not in extended.encode(OLD) and extended.unknown_id not in extended.encode(MORE)


@pytest.mark.parametrize("kind", ["char", "word", "nfd"])
def test_id_mapping_preserves_the_meaning_of_every_id(kind):
    old = learned(kind, OLD)
    extended = train(Extendable(old), [MORE], vocabulary_size=None)
    mapping = old.id_mapping(extended)
    assert len(mapping) == old.size and mapping[0] == 0 and mapping.dtype.name == "int64"
    assert [extended.display(index) for index in mapping] == [old.display(index) for index in range(old.size)]


@pytest.mark.parametrize("kind", ["char", "word", "nfd"])
def test_a_known_text_adds_no_ids(kind):
    old = learned(kind, OLD)
    extended = train(Extendable(old), [OLD], vocabulary_size=None)
    assert extended.size == old.size and old.id_mapping(extended).tolist() == list(range(old.size))


@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_tokenizers_that_know_every_text_are_not_extended(kind):
    old = learned(kind, "she sells sea shells " * 30)
    assert train(Extendable(old), [MORE], vocabulary_size=None) is old
    assert old.id_mapping(old).tolist() == list(range(old.size))


def test_an_existing_tokenizer_is_returned_unchanged():
    old = learned("char", OLD)
    assert train(old, [MORE], vocabulary_size=None) is old
