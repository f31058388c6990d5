"""A vocabulary that grows keeps what it knew, adds what is new, and says where every old id went."""

import pytest

from charlm.text.tokenizers.registry import Extendable, id_mapping, train

OLD, MORE = "sea shell\u00e9 \u0301x", "\x00aq sea \u00fc \U0010ffff"


def learned(kind, text):
    return train(kind, [text], vocabulary_size=270 if kind in ("bpe", "unigram") else None)


@pytest.mark.parametrize("kind, known_text", [("char", sorted(set(OLD + MORE))), ("word", sorted({*OLD.split(" "), *MORE.split(" ")})),
                                             ("nfd", sorted(set("sea shelle \u0301x\x00aqu\u0308\U0010ffff")))])
def test_grown_vocabulary_knows_both_texts_and_no_more(kind, known_text):
    grown = train(Extendable(learned(kind, OLD)), [MORE], vocabulary_size=None)
    assert grown.kind == kind and grown.size == len(known_text) + 1
    assert [grown.display(index) for index in range(1, grown.size)] == known_text
    assert grown.unknown_id not in grown.encode(OLD) and grown.unknown_id not in grown.encode(MORE)


@pytest.mark.parametrize("kind", ["char", "word", "nfd"])
def test_every_old_id_means_the_same_at_its_new_place(kind):
    old = learned(kind, OLD)
    grown = train(Extendable(old), [MORE], vocabulary_size=None)
    moved = id_mapping(old, grown)
    assert len(moved) == old.size and moved[0] == 0 and moved.dtype.name == "int64"
    assert [grown.display(index) for index in moved] == [old.display(index) for index in range(old.size)]


@pytest.mark.parametrize("kind", ["char", "word", "nfd"])
def test_a_text_without_anything_new_grows_nothing(kind):
    old = learned(kind, OLD)
    grown = train(Extendable(old), [OLD], vocabulary_size=None)
    assert grown.size == old.size and id_mapping(old, grown).tolist() == list(range(old.size))


@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_what_knows_every_text_stays_as_it_is(kind):
    old = learned(kind, "she sells sea shells " * 30)
    assert train(Extendable(old), [MORE], vocabulary_size=None) is old
    assert id_mapping(old, old).tolist() == list(range(old.size))


def test_a_tokenizer_that_is_there_stays_whatever_the_text():
    old = learned("char", OLD)
    assert train(old, [MORE], vocabulary_size=None) is old
