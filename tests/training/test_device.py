"""Where training computes."""

import pytest
import torch

from charlm.errors import UsageError
from charlm.training.environment import choose_device


@pytest.mark.parametrize(("gpu", "wish", "before", "chosen"), [
    (True, "auto", None, "cuda"), (True, "auto", "cuda", "cuda"), (True, "auto", "cpu", "cpu"), (True, "cuda", "cpu", "cuda"),
    (True, "cpu", "cuda", "cpu"), (False, "auto", None, "cpu"), (False, "auto", "cuda", "cpu"), (False, "cpu", None, "cpu")])
def test_auto_stays_where_the_run_was_and_else_takes_a_gpu(monkeypatch, gpu, wish, before, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert choose_device(wish, before) == chosen


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cpu"):
        choose_device("cuda")
