"""A whole run, from plan to stored model."""

import time

from charlm.training.choices import Wishes
from charlm.training.session import Session, run


def test_a_run_stopped_before_its_first_validation_leaves_an_older_model_alone(corpus_of, tmp_path):
    output = tmp_path / "m.charlm"
    output.write_bytes(b"the good old model")
    asked = iter([False] * 4 + [True] * 1000)
    session = Session(str(output), "cpu", 1, time.monotonic(), lambda: next(asked))
    wishes = Wishes(hidden=8, layers=1, steps=1000, batch_size=1)
    records = list(run(corpus_of("namaskar\n" * 64), wishes, session))
    assert (records[-1].reason, records[-1].path) == ("interrupted", "")
    assert output.read_bytes() == b"the good old model"
