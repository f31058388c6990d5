"""Running text as an objective: what is carried, and what a skipped update leaves behind."""

import pytest

from charlm.training.choices import Wishes, choose_model, choose_run
from charlm.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("encoder", ["shared", "bidirectional"])
def test_a_first_loss_that_is_not_accepted_may_be_followed_by_another(corpus_of, encoder):
    corpus = corpus_of("abcdefgh\n" * 60)
    wishes = Wishes(encoder=encoder, hidden=8, layers=1, steps=4, batch_size=2, bptt=5)
    objective = Trainer(corpus, choose_model(corpus, wishes), choose_run(corpus, wishes), device="cpu").objective
    first, again = objective.loss(0), objective.loss(0)
    first.backward()
    again.backward()
    objective.accept()
    objective.loss(1).backward()
