"""Streams of text: stop strings, lengths, and samples that do not depend on the batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.config import SamplingConfig
from charlm.inference.generation import PROMPT_WINDOW, StopAt, generate, read_prompt
from charlm.text.tokenizers.byte import ByteTokenizer
from charlm.text.tokenizers.char import CharTokenizer

LETTERS = CharTokenizer.train(["\nabcdefgh "], vocabulary_size=None)
EMPTY = np.zeros(0, np.int64)


def texts_of(network, tokenizer=LETTERS, *, prompt=EMPTY, length=40, seed=3, samples=range(1), stop=(), **options):
    texts = dict.fromkeys(samples, "")
    for number, text in generate(network, tokenizer, prompt, SamplingConfig(**options), length=length,
                                 seed=seed, samples=samples, stop=stop):
        assert text
        texts[number] += text
    return texts


def run_stop(strings, pieces):
    """Return the text that passes through a StopAt, and whether a stop string was reached."""
    stop, out = StopAt(strings), ""
    for piece in pieces:
        out += stop.push(piece)
        if stop.reached:
            return out, True
    return out + stop.flush(), False


@pytest.mark.parametrize("strings, text, expected", [
    (["END"], "to the END of it", ("to the ", True)),
    (["END"], "no such thing, EN", ("no such thing, EN", False)),
    (["END"], "END", ("", True)),
    (["aab"], "aaaab!", ("aa", True)),              # the beginning of a match overlaps itself
    (["abab"], "abaabab", ("aba", True)),
    (["xy", "yz"], "wxyz", ("w", True)),            # the strings overlap each other
    (["cde", "bc"], "abcde", ("a", True)),
    (["\n\n", "\n"], "one\n\ntwo", ("one", True)),
    (["é"], "café", ("caf", True)),
    ([], "anything", ("anything", False)),
    ([""], "anything", ("anything", False))])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_text_ends_before_the_first_stop_string(strings, text, expected, size):
    assert run_stop(strings, [text[at:at + size] for at in range(0, len(text), size)]) == expected


def test_nested_stop_strings_end_a_text_however_it_is_cut():
    assert run_stop(["abcd", "c"], ["abcd"]) == run_stop(["abcd", "c"], "abcd")


@given(st.text("ab", min_size=1, max_size=4), st.lists(st.text("ab", max_size=4), max_size=8))
def test_stop_string_is_found_however_the_text_is_cut(string, pieces):
    before, found, _ = "".join(pieces).partition(string)
    assert run_stop([string], pieces) == (before, bool(found))


@given(st.text("abc", min_size=1, max_size=4), st.text("abc", max_size=12))
def test_text_is_held_back_only_while_it_may_become_a_stop_string(string, text):
    stop, out = StopAt([string]), ""
    for at, character in enumerate(text):
        out += stop.push(character)
        if stop.reached:
            return
        held = text[len(out):at + 1]
        assert string.startswith(held) and len(held) < len(string)


@pytest.mark.parametrize("options", [{}, {"repeat_penalty": 1.5}, {"temperature": 0.7, "top_p": 0.8},
                                     {"stop": ("b", "ha")}, {"prompt": np.array([2, 3, 4])}])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_sample_does_not_depend_on_the_range(random_network, cell, options):
    network = random_network(LETTERS.size, scale=2, cell=cell)
    together = texts_of(network, samples=range(8), **options)
    assert len(set(together.values())) > 4
    for samples in (range(5, 6), range(2, 7), range(1)):
        assert texts_of(network, samples=samples, **options) == {n: together[n] for n in samples}


@pytest.mark.parametrize("attention", [False, True])
def test_sample_of_a_windowed_network_does_not_depend_on_the_range(random_network, attention):
    network = random_network(LETTERS.size, scale=2, encoder="bidirectional", attention=attention, window=6,
                             source_vocabulary_size=LETTERS.size)
    options = {"prompt": np.array([2, 3, 4, 5, 6, 7, 8]), "length": 50}
    together = texts_of(network, samples=range(8), **options)
    assert len(set(together.values())) > 4
    for samples in (range(5, 6), range(2, 7)):
        assert texts_of(network, samples=samples, **options) == {n: together[n] for n in samples}


def test_same_seed_repeats_a_text_and_another_varies_it(random_network):
    network = random_network(LETTERS.size)
    assert texts_of(network, seed=1) == texts_of(network, seed=1)
    assert texts_of(network, seed=1) != texts_of(network, seed=2)


@pytest.mark.parametrize("length", [0, 1, 7, 130])
def test_sample_has_the_requested_length(random_network, length):
    texts = texts_of(random_network(LETTERS.size), samples=range(3), length=length)
    assert [len(text) for text in texts.values()] == [length] * 3


def test_shorter_sample_is_a_prefix_of_a_longer_one(random_network):
    network = random_network(LETTERS.size)
    assert texts_of(network, length=60)[0].startswith(texts_of(network, length=25)[0])


def test_stopped_sample_is_a_prefix_of_the_unstopped_one(random_network):
    network = random_network(LETTERS.size)
    whole = texts_of(network, samples=range(6))
    stop = whole[2][10:12]
    assert texts_of(network, samples=range(6), stop=[stop]) == {
        number: text.split(stop)[0] for number, text in whole.items()}


def test_no_step_follows_once_all_samples_have_stopped(random_network):
    network, asked = random_network(LETTERS.size), []
    step = network.step
    network.step = lambda tokens, state: asked.append(tokens) or step(tokens, state)
    assert texts_of(network, stop=list("\nabcdefgh "), length=1000) == {0: ""}
    assert len(asked) < 10


def test_unsampleable_ids_are_never_sampled(random_network):
    network = random_network(LETTERS.size)
    network._head_bias[LETTERS.unknown_id] = 100.0          # the likeliest by far
    for options in ({"temperature": 0}, {}, {"temperature": 50}, {"top_k": 1}):
        text = texts_of(network, samples=range(3), **options)
        assert set("".join(text.values())) <= set("\nabcdefgh ")
        assert all(len(sample) == 40 for sample in text.values())


def test_temperature_zero_follows_the_likeliest_token(random_network):
    network = random_network(LETTERS.size, scale=2)
    ids = [LETTERS.start_id]
    for _ in range(20):
        logits, _ = network.step(np.array([ids]), network.start(1))
        ids.append(1 + int(logits[0, -1, 1:].argmax()))     # 0 is <unk>
    assert texts_of(network, temperature=0, length=20)[0] == LETTERS.push(ids[1:])


def test_character_of_several_bytes_comes_in_one_piece(random_network):
    network, data = random_network(256), "é€𝄞".encode()
    logits = np.full((1, 256), -100.0, np.float32)
    following = iter(data[1:] + b"x")

    def step(tokens, state):
        out = logits.copy()
        out[0, data[0] if tokens[0, -1] == 10 else next(following)] = 100.0
        return out[:, None], state

    network.step = step
    pieces = generate(network, ByteTokenizer(), EMPTY, SamplingConfig(), length=len(data), seed=0)
    assert list(pieces) == [(0, "é"), (0, "€"), (0, "𝄞")]


@pytest.mark.parametrize("length", [0, 1, PROMPT_WINDOW - 1, PROMPT_WINDOW, 2 * PROMPT_WINDOW + 5])
def test_prompt_is_read_after_the_start_token(random_network, length):
    network = random_network(LETTERS.size)
    ids = np.random.default_rng(1).integers(1, LETTERS.size, size=length)
    logits, _ = read_prompt(network, LETTERS, ids)
    expected, _ = network.step(np.array([[LETTERS.start_id, *ids]]), network.start(1))
    assert logits.shape == (1, LETTERS.size)
    assert np.allclose(logits, expected[:, -1], atol=1e-5)


def test_repeat_penalty_applies_to_the_prompt(random_network):
    network, generator = random_network(LETTERS.size), np.random.default_rng(1)
    prompts = [generator.choice(np.arange(1, LETTERS.size), 5, replace=False) for _ in range(20)]

    def repeats(penalty):
        return [texts_of(network, temperature=0, prompt=ids, length=1, repeat_penalty=penalty)[0] in LETTERS.push(ids)
                for ids in prompts]

    assert any(repeats(1)) and not any(repeats(1e6))


def test_repeat_penalty_applies_to_sampled_tokens(random_network):
    network = random_network(LETTERS.size)
    free, penalised = (set(texts_of(network, temperature=0, length=10, repeat_penalty=penalty)[0])
                       for penalty in (1, 1e6))
    assert len(free) < len(penalised)
