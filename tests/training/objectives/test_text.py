"""Running text: the state carried between windows, lanes that are reset, and losses that are not committed."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from charlm.training.defaults import resolve
from charlm.training.objectives import text as module
from charlm.training.objectives.text import Lanes
from charlm.training.options import TrainingOptions
from charlm.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

TEXT = "a\nbc\n\nabca\nb\ncc\n" * 40                         # 640 characters; many of the 576 for training start a line


def trainer_for(corpus, **options):
    options = TrainingOptions(**{"encoder": "shared", "hidden_size": 8, "num_layers": 2, "steps": 4, "batch_size": 5,
                                 "bptt": 5,
                                 "dropout": 0.0} | options)
    return Trainer(corpus, *resolve("text", options, corpus), device="cpu")


@pytest.fixture
def corpus(corpus_of):
    return corpus_of(TEXT)


@pytest.mark.parametrize("encoder", ["shared", "bidirectional"])
def test_a_first_loss_that_is_not_committed_can_be_repeated(corpus_of, encoder):
    objective = trainer_for(corpus_of("abcdefgh\n" * 60), encoder=encoder, batch_size=2).objective
    first, again = objective.loss(0), objective.loss(0)
    assert torch.equal(first, again)
    first.backward()                    # each has its own graph, also after the next one was built
    again.backward()
    objective.commit()
    objective.loss(1).backward()


# Resets


def line_starts(corpus, trainer, step):
    """Return the lanes (B,) whose window of a step starts with a line end, and the window's inputs and targets."""
    ids, targets = Lanes(corpus.train, batch_size=trainer.run.batch_size, bptt=trainer.run.bptt).window(step)
    return (ids[:, 0] == corpus.tokenizer.encode("\n")[0]).tolist(), ids, targets


def watched(trainer):
    """Return a list that collects the state before and after each call of the trainer's network."""
    seen, step = [], trainer.network.step

    def spy(tokens, state):
        logits, after = step(tokens, state)
        seen.append((state, after))
        return logits, after

    trainer.network.step = spy
    return seen


def lanes_of(state):
    """Return the recurrent state of every lane (B, N * parts * H)."""
    return torch.cat([part[0] for part in itertools.chain(*state.layers)], dim=1).detach()


def resets(trainer, steps, *, update=True):
    """Return the lanes (steps - 1, B) that are reset in each step but the first."""
    seen = watched(trainer)
    for step in range(steps):
        trainer.update(step) if update else (trainer.objective.loss(step), trainer.objective.commit())
    rows = []
    for (_, after), (before, _) in itertools.pairwise(seen):
        reset = ~lanes_of(before).any(dim=1)
        kept = (lanes_of(before) == lanes_of(after)).all(dim=1)
        assert (reset ^ kept).all()                         # the whole state of a lane or nothing of it
        rows.append(reset.tolist())
    return np.array(rows)


def test_lanes_are_reset_at_about_half_of_the_line_starts(corpus):
    trainer = trainer_for(corpus)
    reset = resets(trainer, 150, update=False)
    starts = np.array([line_starts(corpus, trainer, step)[0] for step in range(1, 150)])
    assert not reset[~starts].any()
    assert starts.sum() > 200 and 0.4 < reset[starts].mean() < 0.6
    # Lanes are reset independently of each other, and each one at about half of its line starts.
    assert np.mean([0 < row.mean() < 1 for row in map(np.compress, starts, reset) if len(row) > 1]) > 0.3
    assert all(0.2 < reset[starts[:, lane], lane].mean() < 0.8 for lane in range(5))


def test_reset_probability_of_1_resets_all_and_of_0_none(corpus, monkeypatch):
    trainer = trainer_for(corpus)
    starts = np.array([line_starts(corpus, trainer, step)[0] for step in range(1, 20)])
    for probability, expected in ((1.0, starts), (0.0, np.zeros_like(starts))):
        monkeypatch.setattr(module, "RESET_PROBABILITY", probability)
        assert resets(trainer_for(corpus), 20).tolist() == expected.tolist()


def test_which_lanes_are_reset_depends_on_seed_and_step(corpus):
    first, again, other = (resets(trainer_for(corpus, seed=seed), 40).tolist() for seed in (3, 3, 4))
    assert first == again != other


def test_a_repeated_step_resets_the_same_lanes(corpus):
    trainer = trainer_for(corpus)
    trainer.update(0)
    seen = watched(trainer)
    for step in (1, 2, 1, 3, 1):
        trainer.objective.loss(step)                        # never committed, so the state stays that of step 0
    before = [lanes_of(state).tolist() for state, _ in seen]
    assert before[0] == before[2] == before[4]
    assert len({str(state) for state in before}) > 1


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_loss_is_that_of_each_lane_alone(corpus, monkeypatch, cell):
    """With all line starts reset, a window begins with an empty state there and with the lane's state elsewhere."""
    monkeypatch.setattr(module, "RESET_PROBABILITY", 1.0)
    trainer = trainer_for(corpus, cell=cell, bptt=4)
    network, states = trainer.network, [trainer.network.start(1) for _ in range(5)]
    for step in range(4):
        starts, ids, targets = line_starts(corpus, trainer, step)
        losses = []
        for lane in range(5):
            with torch.no_grad():
                state = network.start(1) if starts[lane] else states[lane]
                logits, states[lane] = network.step(ids[lane:lane + 1], state)
                losses.append(F.cross_entropy(logits[0], targets[lane]).item())
        assert trainer.objective.loss(step).item() == pytest.approx(np.mean(losses), abs=1e-6)
        trainer.objective.commit()
    assert any(starts) and not all(starts)


@pytest.mark.parametrize("encoder", ["stacked", "bidirectional"])
def test_lanes_of_a_network_with_windows_are_never_reset(corpus, monkeypatch, encoder):
    monkeypatch.setattr(module, "RESET_PROBABILITY", 1.0)
    trainer = trainer_for(corpus, encoder=encoder)
    assert not resets(trainer, 15).any()
    assert np.array([line_starts(corpus, trainer, step)[0] for step in range(1, 15)]).any()


def test_lanes_of_text_without_line_ends_are_never_reset(corpus_of, monkeypatch):
    monkeypatch.setattr(module, "RESET_PROBABILITY", 1.0)
    assert not resets(trainer_for(corpus_of("abcab cab" * 60)), 15).any()


@pytest.mark.parametrize("tokenizer", ["byte", "bpe"])
def test_lines_start_after_a_newline_with_any_tokenizer(corpus_of, monkeypatch, tokenizer):
    monkeypatch.setattr(module, "RESET_PROBABILITY", 1.0)
    corpus = corpus_of(TEXT, tokenizer=tokenizer)
    trainer = trainer_for(corpus)
    starts = np.array([line_starts(corpus, trainer, step)[0] for step in range(1, 15)])
    assert resets(trainer, 15).tolist() == starts.tolist() and starts.any()


def test_validation_resets_nothing(corpus, monkeypatch):
    losses = []
    for probability in (0.0, 1.0):
        monkeypatch.setattr(module, "RESET_PROBABILITY", probability)
        losses.append(trainer_for(corpus).objective.validate(lambda: False).loss)
    assert losses[0] == losses[1]
