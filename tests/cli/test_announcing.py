"""The first words of a command: said after a moment of silence, and not at all by one that is refused at once."""

import time

from charlm.cli import announcing


def test_an_activity_is_reported_once_it_takes_long_and_the_next_at_once(monkeypatch):
    monkeypatch.setattr(announcing, "DELAY", 0.05)
    said = []
    with announcing.announcing(said.append) as announce:
        announce("reading")
        assert not said
        time.sleep(0.3)
        assert said == ["reading"]
        announce("loading")
        assert said == ["reading", "loading"]


def test_nothing_is_reported_after_a_quick_activity(monkeypatch):
    monkeypatch.setattr(announcing, "DELAY", 0.05)
    said = []
    with announcing.announcing(said.append) as announce:
        announce("reading")
    time.sleep(0.2)
    assert not said
