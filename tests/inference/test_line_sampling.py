"""Lines that are drawn: the same in whatever range, as often of a label as it is frequent, and only wanted ones."""

import re
from collections import Counter

import numpy as np
import pytest

from charlm.config import SamplingConfig
from charlm.errors import UsageError
from charlm.inference import line_sampling
from charlm.inference.matmul import matmul_by_row, matmul_in_blocks
from charlm.inference.line_sampling import DEFAULT_MAX_LENGTH, FilteredLineSampler, LineFilter, LineSampler, LineSamplingConfig, max_line_length
from charlm.text.labels import Labels
from charlm.text.line_hashes import LineHashes, line_hash
from charlm.text.special_tokens import eos_id, label_id
from charlm.text.tokenizers.registry import train

LETTERS = train("char", ["\nabcdefgh "], vocabulary_size=None)
LABELS = Labels(("calm", "odd", "wild"), (6, 1, 3))
END = eos_id(LETTERS)


@pytest.fixture
def network(random_network):
    """A function to a network whose lines are a dozen characters long."""
    def build(labels=0, **options):
        return random_network(LETTERS.size + 1, **{"labels": labels,"scale": 2, "matmul": matmul_in_blocks} | options)
    return build


def manner(seed=5, *, max_length=40, prefix="", label=None, **options):
    return LineSamplingConfig(SamplingConfig(**options), seed, max_length, prefix, label)


def texts(writer, numbers, how=manner()):
    return [line.text for line in writer.sample(numbers, how)]


@pytest.mark.parametrize("options", [{}, {"prefix": "ab"}, {"prefix": "a", "temperature": 1.5, "top_p": 0.95},
                                     {"repeat_penalty": 1.5, "prefix": "head"}], ids=str)
@pytest.mark.parametrize("multiply", [matmul_in_blocks, matmul_by_row])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_line_is_the_same_in_whatever_range_it_is_drawn(network, cell, multiply, options):
    writer, how = LineSampler(network(cell=cell, matmul=multiply), LETTERS), manner(**options)
    together = texts(writer, range(150), how)
    assert len(set(together)) > 40
    for numbers in (range(7, 8), range(60, 131), range(0, 64), range(100, 150)):
        assert texts(writer, numbers, how) == together[numbers.start:numbers.stop]


def test_a_labelled_line_is_the_same_in_whatever_range_it_is_drawn(network):
    writer = LineSampler(network(3), LETTERS, LABELS)
    together = writer.sample(range(150), manner())
    assert {line.label for line in together} == set(LABELS.names)
    for numbers in (range(7, 8), range(60, 131)):
        assert writer.sample(numbers, manner()) == together[numbers.start:numbers.stop]


@pytest.mark.parametrize("wanted", [LineFilter(), LineFilter(unique=True), LineFilter(match=re.compile("a"))], ids=str)
def test_lines_do_not_depend_on_how_many_are_drawn_at_once(network, monkeypatch, wanted):
    def drawn():
        draw = FilteredLineSampler(LineSampler(network(3), LETTERS, LABELS), manner(), wanted)
        return [line for lines in draw.lines(100, tries=1000) for line in lines], draw.tried

    expected = drawn()
    assert len(expected[0]) == 100
    for at_once in (1, 7, 64, 100):
        monkeypatch.setattr(line_sampling, "SIDE_BY_SIDE", at_once)
        assert drawn() == expected


def test_seeds_and_numbers_name_lines(network):
    writer = LineSampler(network(), LETTERS)
    lines = writer.sample(range(3, 40), manner(1))
    assert [line.index for line in lines] == [*range(3, 40)]
    assert texts(writer, range(40), manner(2)) != texts(writer, range(40), manner(1))
    assert texts(writer, range(40), manner(2)) == texts(writer, range(40), manner(2))


def test_labels_are_drawn_as_often_as_they_were_in_training(network):
    writer = LineSampler(network(3, hidden_size=2, num_layers=1), LETTERS, LABELS)
    lines = writer.sample(range(5000), manner(max_length=1))
    counts = Counter(line.label for line in lines)
    for name, share in zip(LABELS.names, (0.6, 0.1, 0.3)):
        assert abs(counts[name] / 5000 - share) < 4 * (share * (1 - share) / 5000) ** 0.5      # four sigma


def test_a_line_begins_from_its_own_label(network):
    """Every label wants a letter of its own."""
    model = network(3, scale=0)
    step = model.step
    wish = {label_id(LETTERS, number): letter for number, letter in enumerate("abc")}

    def leading(tokens, state):
        logits, state = step(tokens, state)
        for row, token in enumerate(tokens[:, 0]):
            logits[row, -1, LETTERS.encode(wish[token])[0] if token in wish else END] = 99
        return logits, state

    model.step = leading
    writer = LineSampler(model, LETTERS, LABELS)
    lines = writer.sample(range(60), manner())
    assert {(line.label, line.text) for line in lines} == {("calm", "a"), ("odd", "b"), ("wild", "c")}
    for name, letter in zip(LABELS.names, "abc"):
        assert {(line.label, line.text) for line in writer.sample(range(9), manner(label=name))} == {(name, letter)}


def test_an_unknown_label_is_refused_and_the_nearest_named(network):
    with pytest.raises(UsageError, match="did you mean wild"):
        LineSampler(network(3), LETTERS, LABELS).sample(range(1), manner(label="wlid"))


def test_lines_without_labels_have_none(network):
    assert {line.label for line in LineSampler(network(), LETTERS).sample(range(5), manner())} == {None}


@pytest.mark.parametrize("prefix", ["", "a", "bad ", "Q", "é🐈"])
def test_every_line_begins_with_the_prefix_exactly(network, prefix):
    found = texts(LineSampler(network(), LETTERS), range(20), manner(prefix=prefix))
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
    assert texts(LineSampler(model, LETTERS), range(2), manner(prefix="bad", temperature=0, max_length=20)) == [
        LETTERS.push(ids[1:])] * 2


def test_a_repeat_penalty_counts_the_prefix(network):
    model = network(scale=0)
    model._head_bias[:] = LETTERS.encode("abc")[0] == np.arange(len(model._head_bias))      # a, by a little
    options = {"temperature": 0, "max_length": 1, "repeat_penalty": 1e6}
    assert texts(LineSampler(model, LETTERS), range(1), manner(prefix="b", **options)) == ["ba"]
    model._head_bias[LETTERS.encode("b")[0]] = 0.5
    assert texts(LineSampler(model, LETTERS), range(1), manner(prefix="a", **options)) == ["ab"]


@pytest.mark.parametrize("max_length", [0, 1, 9])
def test_a_line_has_at_most_the_longest_after_its_prefix(network, max_length):
    model = network()
    model._head_bias[END] = -99
    assert {len(text) for text in texts(LineSampler(model, LETTERS), range(9), manner(prefix="ab", max_length=max_length))} == {
        2 + max_length}


@pytest.mark.parametrize("training, max_length", [({}, DEFAULT_MAX_LENGTH), ({"longest_line": 12}, DEFAULT_MAX_LENGTH),
                                               ({"longest_line": 9000}, 9000), ({"longest_line": "x"}, DEFAULT_MAX_LENGTH)])
def test_lines_may_be_as_long_as_those_of_the_training(training, max_length):
    assert max_line_length(training) == max_length


@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"temperature": 50}])
def test_no_line_holds_a_newline_a_label_or_an_unknown_token(network, options):
    model = network(3)
    model._head_bias[[LETTERS.unknown_id, LETTERS.start_id]] = 50
    for label in (None, "wild"):
        found = texts(LineSampler(model, LETTERS, LABELS), range(20), manner(label=label, **options))
        assert set("".join(found)) <= set("abcdefgh ")


@pytest.mark.parametrize("kind", ["byte", "bpe", "unigram"])
def test_no_line_of_bytes_or_pieces_holds_a_newline(random_network, kind):
    tokenizer = train(kind, ["the cat sat on the mat\n" * 20], vocabulary_size=None)
    model = random_network(tokenizer.size + 1, scale=0, matmul=matmul_in_blocks)
    for token in range(tokenizer.size):
        if "\n" in tokenizer.display(token):
            model._head_bias[token] = 20
    found = texts(LineSampler(model, tokenizer), range(20), manner())
    assert any(found) and "\n" not in "".join(found)


class Told:
    """A writer of given lines, over and over."""

    def __init__(self, *lines):
        self.lines, self.asked = lines, []

    def is_deterministic(self, how):
        return False

    def sample(self, indices, how):
        self.asked.append(numbers)
        return [line_sampling.SampledLine(number, self.lines[number % len(self.lines)], None) for number in numbers]


def found(draw, count, tries=10_000):
    return [line.text for lines in draw.lines(count, tries=tries) for line in lines]


def test_all_lines_are_wanted_unless_told_otherwise():
    draw = FilteredLineSampler(Told("a", "a", "b"), manner(), LineFilter())
    assert found(draw, 5) == ["a", "a", "b", "a", "a"] and (draw.found, draw.tried) == (5, 5)


def test_more_lines_than_stand_side_by_side_are_drawn_in_parts():
    writer = Told("a")
    draw = FilteredLineSampler(writer, manner(), LineFilter())
    assert len(found(draw, 2500)) == 2500
    assert writer.asked == [range(1024), range(1024, 2048), range(2048, 2500)] and draw.tried == 2500


def test_unique_lines_are_none_twice_and_come_in_order():
    draw = FilteredLineSampler(Told("b", "a", "b", "c", "a", "", "d"), manner(), LineFilter(unique=True))
    assert found(draw, 4) == ["b", "a", "c", ""] and (draw.found, draw.tried) == (4, 6)


def test_novel_lines_are_none_of_the_training():
    known = LineHashes(np.array([line_hash(line) for line in ("a", "", "c")], np.uint64))
    draw = FilteredLineSampler(Told("a", "b", "", "c", "d"), manner(), LineFilter(known=known))
    assert found(draw, 3) == ["b", "d", "b"] and draw.tried == 7


def test_matching_lines_hold_the_pattern_anywhere():
    draw = FilteredLineSampler(Told("xay", "b", "a", ""), manner(), LineFilter(match=re.compile("a")))
    assert found(draw, 3) == ["xay", "a", "xay"] and draw.tried == 5


def test_lines_may_have_to_be_all_of_it():
    known = LineHashes(np.array([line_hash("ab")], np.uint64))
    draw = FilteredLineSampler(Told("ab", "ac", "ac", "b", "ad"), manner(), LineFilter(True, known, re.compile("^a")))
    assert found(draw, 2) == ["ac", "ad"] and (draw.found, draw.tried) == (2, 5)


@pytest.mark.parametrize("tries", [1, 5, 64, 65, 3000])
def test_a_draw_gives_up_after_its_tries_and_says_what_it_found(tries):
    writer = Told("a", "b")
    draw = FilteredLineSampler(writer, manner(), LineFilter(unique=True))
    assert found(draw, 3, tries) == ["a", "b"][:tries]
    assert (draw.found, draw.tried) == (min(2, tries), tries) and sum(map(len, writer.asked)) == tries


def test_no_lines_are_asked_for_and_none_are_drawn():
    writer = Told("a")
    draw = FilteredLineSampler(writer, manner(), LineFilter(unique=True))
    assert found(draw, 0) == [] and (draw.found, draw.tried, writer.asked) == (0, 0, [])


def test_the_tries_that_a_draw_tells_of_are_those_that_one_by_one_would_have_needed(network):
    """By hand: of all lines in order, how many until the twentieth that is new and holds an a."""
    writer = LineSampler(network(), LETTERS)
    draw, every = FilteredLineSampler(writer, manner(), LineFilter(unique=True, match=re.compile("a"))), texts(writer, range(400))
    kept, tried = [], 0
    while len(kept) < 20:
        text = every[tried]
        tried += 1
        if "a" in text and text not in kept:
            kept.append(text)
    assert found(draw, 20) == kept and draw.tried == tried
