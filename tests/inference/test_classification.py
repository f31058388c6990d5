"""Classification on a model whose probabilities are fractions, and scores of lines with and without labels."""

import dataclasses
import math
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError
from charlm.inference import classification
from charlm.inference.classification import Classifier, LabelScorer
from charlm.text.labels import Labels
from charlm.text.special_tokens import label_id, with_bos_eos
from charlm.text.tokenizers.char import CharTokenizer

AB = CharTokenizer.train(["ab"], vocabulary_size=None)               # <unk>, a, b; then the end and the labels
LABELS = Labels(("calm", "wild"), (3, 1))
A, B, END = 1, 2, 3
PROBABILITIES = {"calm": {A: F(1, 2), B: F(1, 4), END: F(1, 4)}, "wild": {A: F(1, 4), B: F(1, 4), END: F(1, 2)}}
PRIOR = {"calm": F(3, 4), "wild": F(1, 4)}
LETTERS = CharTokenizer.train(["\nabcdefgh "], vocabulary_size=None)
MANY_LABELS = Labels(tuple(f"label {number:02}" for number in range(30)), tuple(range(1, 31)))


@dataclasses.dataclass
class LabelState:
    """The label that each row started with; -1 if it has read nothing."""

    labels: np.ndarray

    def select(self, rows):
        return LabelState(self.labels[rows])


class UnigramNetwork:
    """A network of independent letters with the probabilities of the label that a row starts with."""

    def start(self, batch):
        return LabelState(np.full(batch, -1))

    def step(self, tokens, state):
        labels = np.where(state.labels < 0, tokens[:, 0] - label_id(AB, 0), state.labels)
        odds = np.full((len(LABELS), 6), 1e-30, np.float32)
        for number, name in enumerate(LABELS.names):
            odds[number, list(PROBABILITIES[name])] = list(map(float, PROBABILITIES[name].values()))
        return np.repeat(np.log(odds)[labels][:, None], tokens.shape[1], axis=1), LabelState(labels)


def likelihood(text, label):
    """Return p(text, end | label), a fraction."""
    letters = [PROBABILITIES[label][A if letter == "a" else B] for letter in text]
    return math.prod(letters, start=PROBABILITIES[label][END])


@pytest.mark.parametrize("text, calm", [("", F(3, 5)), ("a", F(3, 4)), ("b", F(3, 5)), ("aab", F(6, 7))])
def test_posterior_is_prior_times_likelihood_normalised(text, calm):
    posterior, = Classifier(UnigramNetwork(), AB, LABELS).posteriors([text])
    assert posterior == pytest.approx([float(calm), 1 - float(calm)])


@pytest.mark.parametrize("text, calm", [("", F(1, 3)), ("a", F(1, 2)), ("b", F(1, 3)), ("aab", F(2, 3))])
def test_posterior_with_a_uniform_prior_is_the_normalised_likelihood(text, calm):
    posterior, = Classifier(UnigramNetwork(), AB, LABELS, uniform_prior=True).posteriors([text])
    assert posterior == pytest.approx([float(calm), 1 - float(calm)])


@given(st.lists(st.text("ab", max_size=12), max_size=6))
def test_posteriors_equal_exact_fractions(texts):
    found = Classifier(UnigramNetwork(), AB, LABELS).posteriors(texts)
    assert found.shape == (len(texts), 2)
    for text, posterior in zip(texts, found, strict=True):
        joint = {label: PRIOR[label] * likelihood(text, label) for label in LABELS.names}
        assert posterior == pytest.approx([float(joint[label] / sum(joint.values())) for label in LABELS.names])


def test_line_of_ten_thousand_letters_has_a_posterior():
    """Its likelihoods are far below the smallest positive float."""
    certain, doubtful = Classifier(UnigramNetwork(), AB, LABELS).posteriors(["a" * 10_000, "b" * 10_000])
    assert certain == pytest.approx([1, 0]) and doubtful == pytest.approx([3 / 5, 2 / 5])


def test_line_without_a_label_is_scored_under_the_mixture():
    """The text "a" and its end have probability 3/32 + 1/32, its first letter 3/8 + 1/16."""
    _, _, (nats,) = LabelScorer(UnigramNetwork(), AB, LABELS).score(["a"])
    assert np.exp(-nats) == pytest.approx([7 / 16, 2 / 7])


@given(st.text("ab", max_size=12))
def test_token_scores_under_the_mixture_sum_to_the_marginal(text):
    _, _, (nats,) = LabelScorer(UnigramNetwork(), AB, LABELS).score([text])
    total = sum(PRIOR[label] * likelihood(text, label) for label in LABELS.names)
    assert len(nats) == len(text) + 1 and math.exp(-nats.sum()) == pytest.approx(float(total))
    remaining = 1.0
    for at, letter in enumerate([*text, END]):          # p(token | those before) is a ratio of sums
        before, remaining = remaining, float(total) if letter == END else float(sum(
            PRIOR[label] * likelihood(text[:at + 1], label) / PROBABILITIES[label][END] for label in LABELS.names))
        assert math.exp(-nats[at]) == pytest.approx(remaining / before)


def test_line_with_a_label_is_scored_given_that_label():
    texts, rows, nats = LabelScorer(UnigramNetwork(), AB, LABELS).score(["wild\tab", "b", "calm\tab", "calm\t", ""])
    assert texts == ["ab", "b", "ab", "", ""]
    assert [row[1:].tolist() for row in rows] == [[A, B, END], [B, END], [A, B, END], [END], [END]]
    assert np.exp(-nats[0]) == pytest.approx([1 / 4, 1 / 4, 1 / 2])
    assert np.exp(-nats[1]) == pytest.approx([1 / 4, 5 / 16])
    assert np.exp(-nats[2]) == pytest.approx([1 / 2, 1 / 4, 1 / 4])
    assert np.exp(-nats[3]) == pytest.approx([1 / 4]) and np.exp(-nats[4]) == pytest.approx([5 / 16])


def test_only_the_first_tab_separates_a_label():
    texts, rows, _ = LabelScorer(UnigramNetwork(), AB, LABELS).score(["calm\ta\tb"])
    assert texts == ["a\tb"] and rows[0].tolist() == [label_id(AB, 0), A, AB.unknown_id, B, END]


@pytest.mark.parametrize("line, hint", [
    ("clam\tab", "did you mean calm?"), ("WILD\ta", "did you mean wild?"), ("x\ty", "there are calm, wild"),
    ("\tab", "there are calm, wild")])
def test_unknown_label_is_an_error_that_suggests_the_nearest(line, hint):
    with pytest.raises(CorpusError) as refused:
        LabelScorer(UnigramNetwork(), AB, LABELS).score(["calm\tab", line])
    assert hint in str(refused.value) and repr(line.split("\t")[0]) in str(refused.value)


def test_no_lines_give_no_posteriors_and_no_scores():
    assert Classifier(UnigramNetwork(), AB, LABELS).posteriors([]).shape == (0, 2)
    assert LabelScorer(UnigramNetwork(), AB, LABELS).score([]) == ([], [], [])


@pytest.fixture
def network(random_network):
    return random_network(LETTERS.size + 1, labels=len(MANY_LABELS), scale=2)


def slow_posterior(stepwise_nats, network, text, prior):
    """Return the posterior of a text of known letters."""
    joint = [math.log(prior[number]) - stepwise_nats(network, with_bos_eos(LETTERS, LETTERS.encode(text), number)).sum()
             for number in range(len(MANY_LABELS))]
    odds = [math.exp(value - max(joint)) for value in joint]
    return [value / math.fsum(odds) for value in odds]


@pytest.mark.parametrize("rows", [1, 50, 65, 4096])
def test_posteriors_do_not_depend_on_the_batch_size(network, stepwise_nats, monkeypatch, rows):
    monkeypatch.setattr(classification, "ROWS_AT_ONCE", rows)
    texts = ["abc", "", "head", "a bad cafe", "gg"]
    prior = [count / sum(MANY_LABELS.counts) for count in MANY_LABELS.counts]
    for text, found in zip(texts, Classifier(network, LETTERS, MANY_LABELS).posteriors(texts), strict=True):
        assert found == pytest.approx(slow_posterior(stepwise_nats, network, text, prior), abs=1e-5)


def test_lines_are_batched_by_lines_times_labels(network, monkeypatch):
    """Two lines with thirty labels each exceed 59 rows."""
    calls, score_rows = [], classification.score_rows
    monkeypatch.setattr(classification, "ROWS_AT_ONCE", 59)
    monkeypatch.setattr(classification, "score_rows", lambda *given: calls.append(len(given[2])) or score_rows(*given))
    Classifier(network, LETTERS, MANY_LABELS).posteriors(["a"] * 5)
    assert calls == [30] * 5


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("abcdefgh é\n", max_size=20))
def test_mixture_of_a_network_sums_to_the_marginal_of_the_line(network, text):
    given_labels = [f"{name}\t{text}" for name in MANY_LABELS.names]
    _, _, (mixed, *under) = LabelScorer(network, LETTERS, MANY_LABELS).score([text, *given_labels])
    total = math.fsum(count / sum(MANY_LABELS.counts) * math.exp(under[0].sum() - nats.sum())
                      for count, nats in zip(MANY_LABELS.counts, under, strict=True))
    assert mixed.sum() == pytest.approx(under[0].sum() - math.log(total), abs=1e-5)
