"""Running text as an objective: what is carried, what is forgotten, and what a skipped update leaves behind."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from charlm.training.objectives import text as module
from charlm.training.objectives.text import Lanes
from charlm.training.options import TrainingOptions, choose_model, choose_run
from charlm.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

TEXT = "a\nbc\n\nabca\nb\ncc\n" * 40                         # 640 characters; of 576 to learn from, many begin a line


def trainer_for(corpus, *, encoder="shared", batch_size=5, bptt=5, **wishes):
    wishes = TrainingOptions(**{"encoder": encoder, "hidden": 8, "layers": 2, "steps": 4, "batch_size": batch_size, "bptt": bptt, "dropout": 0.0} | wishes)
    return Trainer(corpus, choose_model(corpus, wishes), choose_run(corpus, wishes), device="cpu")


@pytest.fixture
def corpus(corpus_of):
    return corpus_of(TEXT)


@pytest.mark.parametrize("encoder", ["shared", "bidirectional"])
def test_a_first_loss_that_is_not_committed_can_be_repeated(corpus_of, encoder):
    objective = trainer_for(corpus_of("abcdefgh\n" * 60), encoder=encoder, batch_size=2).objective
    first, again = objective.loss(0), objective.loss(0)
    first.backward()
    again.backward()
    objective.commit()
    objective.loss(1).backward()


# Forgetting


def lines_begun(corpus, trainer, step):
    """Which lanes (B,) have just read the end of a line where the step's window begins; and its tokens."""
    ids, targets = Lanes(corpus.train, batch_size=trainer.run.batch_size, bptt=trainer.run.bptt).window(step)
    return (ids[:, 0] == corpus.tokenizer.encode("\n")[0]).tolist(), ids, targets


def watched(trainer):
    """The states that a trainer's network is given and those that it gives back, as they come."""
    seen, step = [], trainer.network.step

    def spy(tokens, state):
        logits, after = step(tokens, state)
        seen.append((state, after))
        return logits, after

    trainer.network.step = spy
    return seen


def lanes_of(state):
    """Every lane's recurrent state (B, N * parts * H)."""
    return torch.cat([part[0] for part in itertools.chain(*state.layers)], dim=1).detach()


def forgotten(trainer, steps, *, update=True):
    """Which lanes (steps, B) start anew in each step but the first."""
    seen = watched(trainer)
    for step in range(steps):
        trainer.update(step) if update else (trainer.objective.loss(step), trainer.objective.commit())
    rows = []
    for (_, after), (before, _) in zip(seen, seen[1:]):
        anew = ~lanes_of(before).any(dim=1)
        kept = (lanes_of(before) == lanes_of(after)).all(dim=1)
        assert (anew ^ kept).all()                          # the whole state of a lane, or nothing of it
        rows.append(anew.tolist())
    return np.array(rows)


def test_lanes_are_reset_at_about_half_of_the_line_starts(corpus):
    trainer = trainer_for(corpus)
    anew = forgotten(trainer, 150, update=False)
    begun = np.array([lines_begun(corpus, trainer, step)[0] for step in range(1, 150)])
    assert not anew[~begun].any()
    assert begun.sum() > 200 and 0.4 < anew[begun].mean() < 0.6
    assert np.mean([0 < own.mean() < 1 for own in map(np.compress, begun, anew) if len(own) > 1]) > 0.3     # each lane for itself
    assert all(0.2 < anew[begun[:, lane], lane].mean() < 0.8 for lane in range(5))          # and each time anew


def test_reset_probability_of_1_resets_all_and_of_0_none(corpus, monkeypatch):
    trainer = trainer_for(corpus)
    begun = np.array([lines_begun(corpus, trainer, step)[0] for step in range(1, 20)])
    for chance, expected in ((1.0, begun), (0.0, np.zeros_like(begun))):
        monkeypatch.setattr(module, "RESET_PROBABILITY", chance)
        assert forgotten(trainer_for(corpus), 20).tolist() == expected.tolist()


def test_which_lanes_are_reset_depends_on_seed_and_step(corpus):
    first, again, other = (forgotten(trainer_for(corpus, seed=seed), 40).tolist() for seed in (3, 3, 4))
    assert first == again != other


def test_a_repeated_step_resets_the_same_lanes(corpus):
    trainer = trainer_for(corpus)
    trainer.update(0)
    seen = watched(trainer)
    for step in (1, 2, 1, 3, 1):
        trainer.objective.loss(step)                        # never accepted, so the state before stays that of step 0
    before = [lanes_of(state).tolist() for state, _ in seen]
    assert before[0] == before[2] == before[4]
    assert len({str(state) for state in before}) > 1


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_loss_is_that_of_each_lane_alone(corpus, monkeypatch, cell):
    """Where every line's beginning is forgotten, a lane's window is read from nothing there, and carried elsewhere."""
    monkeypatch.setattr(module, "RESET_PROBABILITY", 1.0)
    trainer = trainer_for(corpus, cell=cell, bptt=4)
    network, states = trainer.network, [trainer.network.start(1) for _ in range(5)]
    for step in range(4):
        begun, ids, targets = lines_begun(corpus, trainer, step)
        losses = []
        for lane in range(5):
            with torch.no_grad():
                state = network.start(1) if begun[lane] else states[lane]
                logits, states[lane] = network.step(ids[lane:lane + 1], state)
                losses.append(F.cross_entropy(logits[0], targets[lane]).item())
        assert trainer.objective.loss(step).item() == pytest.approx(np.mean(losses), abs=1e-6)
        trainer.objective.commit()
    assert any(begun) and not all(begun)


@pytest.mark.parametrize("encoder", ["stacked", "bidirectional"])
def test_lanes_of_a_network_with_windows_are_never_reset(corpus, monkeypatch, encoder):
    monkeypatch.setattr(module, "RESET_PROBABILITY", 1.0)
    trainer = trainer_for(corpus, encoder=encoder)
    assert not forgotten(trainer, 15).any()
    assert np.array([lines_begun(corpus, trainer, step)[0] for step in range(1, 15)]).any()


def test_lanes_of_text_without_line_ends_are_never_reset(corpus_of, monkeypatch):
    monkeypatch.setattr(module, "RESET_PROBABILITY", 1.0)
    assert not forgotten(trainer_for(corpus_of("abcab cab" * 60)), 15).any()


@pytest.mark.parametrize("tokenizer", ["byte", "bpe"])
def test_lines_start_after_a_newline_with_any_tokenizer(corpus_of, monkeypatch, tokenizer):
    monkeypatch.setattr(module, "RESET_PROBABILITY", 1.0)
    corpus = corpus_of(TEXT, tokenizer=tokenizer)
    trainer = trainer_for(corpus)
    begun = np.array([lines_begun(corpus, trainer, step)[0] for step in range(1, 15)])
    assert forgotten(trainer, 15).tolist() == begun.tolist() and begun.any()


def test_validation_resets_nothing(corpus, monkeypatch):
    losses = []
    for chance in (0.0, 1.0):
        monkeypatch.setattr(module, "RESET_PROBABILITY", chance)
        losses.append(trainer_for(corpus).objective.validate(lambda: False).loss)
    assert losses[0] == losses[1]
