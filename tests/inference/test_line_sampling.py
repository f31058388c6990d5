"""Sampled lines do not depend on the range, have the label frequencies of training, and pass a filter."""

import re
from collections import Counter

import numpy as np
import pytest

from charlm.config import SamplingConfig
from charlm.errors import UsageError
from charlm.inference import line_sampling
from charlm.inference.line_sampling import (
    DEFAULT_MAX_LENGTH,
    FilteredLineSampler,
    LineFilter,
    LineSampler,
    LineSamplingConfig,
    max_line_length,
)
from charlm.inference.matmul import matmul_by_row, matmul_in_blocks
from charlm.text.labels import Labels
from charlm.text.line_hashes import LineHashes, line_hash
from charlm.text.special_tokens import eos_id, label_id
from charlm.text.tokenizers.registry import train

LETTERS = train("char", ["\nabcdefgh "], vocabulary_size=None)
LABELS = Labels(("calm", "odd", "wild"), (6, 1, 3))
END = eos_id(LETTERS)


@pytest.fixture
def network(random_network):
    """A function that builds a network whose lines are about a dozen characters long."""
    def build(labels=0, **options):
        return random_network(LETTERS.size + 1, **{"labels": labels, "scale": 2, "matmul": matmul_in_blocks} | options)
    return build


def config(seed=5, *, max_length=40, prefix="", label=None, **options):
    return LineSamplingConfig(SamplingConfig(**options), seed, max_length, prefix, label)


def texts(sampler, indices, settings=None):
    return [line.text for line in sampler.sample(indices, settings or config())]


@pytest.mark.parametrize("options", [{}, {"prefix": "ab"}, {"prefix": "a", "temperature": 1.5, "top_p": 0.95},
                                     {"repeat_penalty": 1.5, "prefix": "head"}], ids=str)
@pytest.mark.parametrize("matmul", [matmul_in_blocks, matmul_by_row])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_line_does_not_depend_on_the_range(network, cell, matmul, options):
    sampler, settings = LineSampler(network(cell=cell, matmul=matmul), LETTERS), config(**options)
    together = texts(sampler, range(150), settings)
    assert len(set(together)) > 40
    for indices in (range(7, 8), range(60, 131), range(64), range(100, 150)):
        assert texts(sampler, indices, settings) == together[indices.start:indices.stop]


def test_labelled_line_does_not_depend_on_the_range(network):
    sampler = LineSampler(network(3), LETTERS, LABELS)
    together = sampler.sample(range(150), config())
    assert {line.label for line in together} == set(LABELS.names)
    for indices in (range(7, 8), range(60, 131)):
        assert sampler.sample(indices, config()) == together[indices.start:indices.stop]


@pytest.mark.parametrize("filter", [LineFilter(), LineFilter(unique=True), LineFilter(match=re.compile("a"))], ids=str)
def test_lines_do_not_depend_on_the_batch_size(network, monkeypatch, filter):
    def sample_all():
        filtered = FilteredLineSampler(LineSampler(network(3), LETTERS, LABELS), config(), filter)
        return [line for lines in filtered.lines(100, tries=1000) for line in lines], filtered.tried

    expected = sample_all()
    assert len(expected[0]) == 100
    for at_once in (1, 7, 64, 100):
        monkeypatch.setattr(line_sampling, "SIDE_BY_SIDE", at_once)
        assert sample_all() == expected


def test_lines_depend_on_the_seed_and_the_index(network):
    sampler = LineSampler(network(), LETTERS)
    lines = sampler.sample(range(3, 40), config(1))
    assert [line.index for line in lines] == [*range(3, 40)]
    assert texts(sampler, range(40), config(2)) != texts(sampler, range(40), config(1))
    assert texts(sampler, range(40), config(2)) == texts(sampler, range(40), config(2))


def test_labels_are_as_frequent_as_in_training(network):
    sampler = LineSampler(network(3, hidden_size=2, num_layers=1), LETTERS, LABELS)
    lines = sampler.sample(range(5000), config(max_length=1))
    counts = Counter(line.label for line in lines)
    for name, share in zip(LABELS.names, (0.6, 0.1, 0.3), strict=True):
        assert abs(counts[name] / 5000 - share) < 4 * (share * (1 - share) / 5000) ** 0.5      # four sigma


def test_line_starts_from_its_own_label(network):
    """Every label makes another letter certain."""
    model = network(3, scale=0)
    step = model.step
    letter_of_label = {label_id(LETTERS, number): letter for number, letter in enumerate("abc")}

    def certain_step(tokens, state):
        logits, state = step(tokens, state)
        for row, token in enumerate(tokens[:, 0]):
            logits[row, -1, LETTERS.encode(letter_of_label[token])[0] if token in letter_of_label else END] = 99
        return logits, state

    model.step = certain_step
    sampler = LineSampler(model, LETTERS, LABELS)
    lines = sampler.sample(range(60), config())
    assert {(line.label, line.text) for line in lines} == {("calm", "a"), ("odd", "b"), ("wild", "c")}
    for name, letter in zip(LABELS.names, "abc", strict=True):
        assert {(line.label, line.text) for line in sampler.sample(range(9), config(label=name))} == {(name, letter)}


def test_unknown_label_is_an_error_that_suggests_the_nearest(network):
    with pytest.raises(UsageError, match="did you mean wild"):
        LineSampler(network(3), LETTERS, LABELS).sample(range(1), config(label="wlid"))


def test_lines_of_a_model_without_labels_have_none(network):
    assert {line.label for line in LineSampler(network(), LETTERS).sample(range(5), config())} == {None}


@pytest.mark.parametrize("prefix", ["", "a", "bad ", "Q", "é🐈"])
def test_every_line_begins_with_the_prefix_exactly(network, prefix):
    found = texts(LineSampler(network(), LETTERS), range(20), config(prefix=prefix))
    assert all(text.startswith(prefix) for text in found)
    assert len({text[len(prefix):] for text in found}) > 5


def test_temperature_zero_follows_the_likeliest_token_after_the_prefix(network):
    model = network(scale=4)
    ids = [END, *LETTERS.encode("bad")]
    for _ in range(20):
        logits, _ = model.step(np.array([ids]), model.start(1))
        logits[..., [LETTERS.unknown_id, LETTERS.start_id]] = -np.inf
        token = int(logits[0, -1].argmax())
        if token == END:
            break
        ids.append(token)
    assert texts(LineSampler(model, LETTERS), range(2), config(prefix="bad", temperature=0, max_length=20)) == [
        LETTERS.push(ids[1:])] * 2


def test_repeat_penalty_applies_to_the_prefix(network):
    model = network(scale=0)
    model._head_bias[LETTERS.encode("a")[0]] = 1            # a is the likeliest by little
    options = {"temperature": 0, "max_length": 1, "repeat_penalty": 1e6}
    assert texts(LineSampler(model, LETTERS), range(1), config(prefix="b", **options)) == ["ba"]
    model._head_bias[LETTERS.encode("b")[0]] = 0.5
    assert texts(LineSampler(model, LETTERS), range(1), config(prefix="a", **options)) == ["ab"]


@pytest.mark.parametrize("max_length", [0, 1, 9])
def test_line_has_at_most_max_length_tokens_after_its_prefix(network, max_length):
    model = network()
    model._head_bias[END] = -99
    found = texts(LineSampler(model, LETTERS), range(9), config(prefix="ab", max_length=max_length))
    assert {len(text) for text in found} == {2 + max_length}


@pytest.mark.parametrize("training, max_length", [
    ({}, DEFAULT_MAX_LENGTH), ({"longest_line": 12}, DEFAULT_MAX_LENGTH), ({"longest_line": 9000}, 9000),
    ({"longest_line": "x"}, DEFAULT_MAX_LENGTH)])
def test_lines_can_be_as_long_as_in_training(training, max_length):
    assert max_line_length(training) == max_length


@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"temperature": 50}])
def test_no_line_contains_a_newline_label_or_unknown_token(network, options):
    model = network(3)
    model._head_bias[[LETTERS.unknown_id, LETTERS.start_id]] = 50
    for label in (None, "wild"):
        found = texts(LineSampler(model, LETTERS, LABELS), range(20), config(label=label, **options))
        assert set("".join(found)) <= set("abcdefgh ")


@pytest.mark.parametrize("kind", ["byte", "bpe", "unigram"])
def test_no_line_of_bytes_or_subwords_contains_a_newline(random_network, kind):
    tokenizer = train(kind, ["the cat sat on the mat\n" * 20], vocabulary_size=None)
    model = random_network(tokenizer.size + 1, scale=0, matmul=matmul_in_blocks)
    for token in range(tokenizer.size):
        if "\n" in tokenizer.display(token):
            model._head_bias[token] = 20
    found = texts(LineSampler(model, tokenizer), range(20), config())
    assert any(found) and "\n" not in "".join(found)


class FixedLines:
    """A sampler that repeats the given lines."""

    def __init__(self, *lines):
        self.lines, self.requested = lines, []

    def is_deterministic(self, settings):
        return False

    def sample(self, indices, settings):
        self.requested.append(indices)
        return [line_sampling.SampledLine(index, self.lines[index % len(self.lines)], None) for index in indices]


def found(filtered, count, tries=10_000):
    return [line.text for lines in filtered.lines(count, tries=tries) for line in lines]


def test_all_lines_are_kept_by_default():
    filtered = FilteredLineSampler(FixedLines("a", "a", "b"), config(), LineFilter())
    assert found(filtered, 5) == ["a", "a", "b", "a", "a"] and (filtered.found, filtered.tried) == (5, 5)


def test_many_lines_are_drawn_in_batches():
    sampler = FixedLines("a")
    filtered = FilteredLineSampler(sampler, config(), LineFilter())
    assert len(found(filtered, 2500)) == 2500
    assert sampler.requested == [range(1024), range(1024, 2048), range(2048, 2500)] and filtered.tried == 2500


def test_unique_lines_never_repeat_and_keep_their_order():
    filtered = FilteredLineSampler(FixedLines("b", "a", "b", "c", "a", "", "d"), config(), LineFilter(unique=True))
    assert found(filtered, 4) == ["b", "a", "c", ""] and (filtered.found, filtered.tried) == (4, 6)


def test_known_lines_are_dropped():
    known = LineHashes(np.array([line_hash(line) for line in ("a", "", "c")], np.uint64))
    filtered = FilteredLineSampler(FixedLines("a", "b", "", "c", "d"), config(), LineFilter(known=known))
    assert found(filtered, 3) == ["b", "d", "b"] and filtered.tried == 7


def test_match_is_searched_for_anywhere_in_a_line():
    filtered = FilteredLineSampler(FixedLines("xay", "b", "a", ""), config(), LineFilter(match=re.compile("a")))
    assert found(filtered, 3) == ["xay", "a", "xay"] and filtered.tried == 5


def test_filters_can_be_combined():
    known = LineHashes(np.array([line_hash("ab")], np.uint64))
    sampler = FixedLines("ab", "ac", "ac", "b", "ad")
    filtered = FilteredLineSampler(sampler, config(), LineFilter(True, known, re.compile("^a")))
    assert found(filtered, 2) == ["ac", "ad"] and (filtered.found, filtered.tried) == (2, 5)


@pytest.mark.parametrize("tries", [1, 5, 64, 65, 3000])
def test_sampling_stops_after_the_given_number_of_tries(tries):
    sampler = FixedLines("a", "b")
    filtered = FilteredLineSampler(sampler, config(), LineFilter(unique=True))
    assert found(filtered, 3, tries) == ["a", "b"][:tries]
    assert (filtered.found, filtered.tried) == (min(2, tries), tries) and sum(map(len, sampler.requested)) == tries


def test_nothing_is_drawn_if_no_lines_are_asked_for():
    sampler = FixedLines("a")
    filtered = FilteredLineSampler(sampler, config(), LineFilter(unique=True))
    assert found(filtered, 0) == [] and (filtered.found, filtered.tried, sampler.requested) == (0, 0, [])


def test_tries_are_counted_as_if_lines_were_drawn_one_by_one(network):
    """The reference counts lines in order until the twentieth that is new and contains an a."""
    sampler = LineSampler(network(), LETTERS)
    filtered = FilteredLineSampler(sampler, config(), LineFilter(unique=True, match=re.compile("a")))
    every = texts(sampler, range(400))
    kept, tried = [], 0
    while len(kept) < 20:
        text = every[tried]
        tried += 1
        if "a" in text and text not in kept:
            kept.append(text)
    assert found(filtered, 20) == kept and filtered.tried == tried
