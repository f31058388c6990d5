"""INT, TERM and HUP: a training in progress saves a model, then dies by the signal."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time

import pytest

from charlm.cli.signals import SIGNALS, interruption
from charlm.modelfile import load
from tests.helpers.runners import run_in_process, start_process
from tests.helpers.texts import TINY

LIMIT = 60
SOON = 10                               # seconds; two are enough on an idle machine


def as_in_a_terminal():
    """Restore the default signal handlers, and make stderr the controlling terminal."""
    import fcntl
    import termios
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    if os.isatty(2):
        fcntl.ioctl(2, termios.TIOCSCTTY, 0)


class Training:
    """A training of many steps in another process; `seen` is its stderr so far."""

    def __init__(self, corpus, model, steps, *, terminal):
        self.model, self.seen = model, b""
        self.reader, writer = pty.openpty() if terminal else os.pipe()
        self.process = start_process(
            "train", corpus, "-o", model, *TINY, "--patience", 0, "--steps", steps, stdout=subprocess.DEVNULL,
            stderr=writer,
            env={"TERM": "xterm", "COLUMNS": "200"}, start_new_session=True, preexec_fn=as_in_a_terminal)
        os.close(writer)
        self._thread = threading.Thread(target=self._read, args=(os.dup(self.reader),), daemon=True)
        self._thread.start()

    def _read(self, descriptor):
        try:
            while data := os.read(descriptor, 65536):
                self.seen += data
        except OSError:
            pass                        # Linux says EIO when the last writer of a terminal is gone
        os.close(descriptor)

    def close(self):
        """End the process, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.reader)

    def wait_for(self, ready):
        """Wait until `ready()`, which must come true while the process runs."""
        end = time.monotonic() + LIMIT
        while not ready() and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        assert ready(), self.seen
        assert self.process.poll() is None, self.seen

    def ended(self):
        """Return the exit status, after reading the rest of stderr."""
        code = self.process.wait(SOON)
        self._thread.join(SOON)
        return code


@pytest.fixture(scope="module")
def trainings(tmp_path_factory, verses, wild_text):
    """Two trainings that start together, one on a terminal and one into a pipe."""
    folder = tmp_path_factory.mktemp("signals")
    started = {
        "control-c": Training(wild_text, folder / "c.charlm", 4000, terminal=True),
        "term": Training(verses, folder / "t.charlm", 400_000, terminal=False)}
    yield started
    for training in started.values():
        training.close()


def can_sample(model):
    """Return True if text can be sampled from a model."""
    done = run_in_process("sample", "-m", model, "-n", 20, "--seed", 1)
    return done.code == 0 and len(done.text) == 20 and done.stderr == ""


@pytest.mark.slow
def test_control_c_on_the_panel_keeps_the_best_model_and_dies_by_int(trainings):
    training = trainings["control-c"]
    training.wait_for(training.model.exists)
    os.write(training.reader, b"\x03")
    assert training.ended() == -signal.SIGINT
    screen = training.seen.decode(errors="replace")
    assert "interrupted after" in screen and "next: charlm sample" in screen
    assert "␛" in screen and "\x1b[45m" not in screen
    assert "Traceback" not in screen
    assert load(str(training.model)).training["nats_per_token"] > 0
    assert can_sample(training.model)


@pytest.mark.slow
def test_two_terms_before_the_first_validation_save_a_validated_model(trainings):
    training = trainings["term"]
    training.wait_for(lambda: b'event=step' in training.seen)
    assert not training.model.exists()
    training.process.send_signal(signal.SIGTERM)
    training.process.send_signal(signal.SIGTERM)
    assert training.ended() == -signal.SIGTERM
    assert b'event=stopped reason=interrupted' in training.seen
    assert load(str(training.model)).training["nats_per_token"] > 0
    assert can_sample(training.model)


@pytest.mark.slow
def test_a_hangup_keeps_the_best_model_and_dies_by_hup(verses, tmp_path):
    training = Training(verses, tmp_path / "h.charlm", 4000, terminal=False)
    try:
        training.wait_for(lambda: b'event=saved' in training.seen)
        training.process.send_signal(signal.SIGHUP)
        assert training.ended() == -signal.SIGHUP
    finally:
        training.close()
    assert b"Traceback" not in training.seen
    assert can_sample(training.model)
    assert [path.name for path in training.model.parent.glob(".*")] == []


def test_control_c_while_sampling_dies_by_int_without_a_message(model):
    with start_process("sample", "-m", model, "-n", 10_000_000, "--seed", 1, preexec_fn=as_in_a_terminal,
                       start_new_session=True) as process:
        assert process.stdout.read(10)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=LIMIT)
    # An empty line ends the one on which the terminal showed ^C.
    assert (process.returncode, stderr.strip()) == (-signal.SIGINT, b"")


@pytest.fixture
def handlers():
    """Put the signal handlers back after the test; until it sets its own, signals do nothing."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda signum, frame: None)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_only_sets_the_flag_and_a_second_signal_changes_nothing(handlers, number):
    with interruption() as flag:
        assert not flag.requested()
        signal.raise_signal(number)
        assert flag.requested() and flag.signum == number
        for other in SIGNALS:
            signal.raise_signal(other)
        assert flag.signum == number


def test_a_hangup_ignored_from_the_start_stays_ignored(handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruption() as flag:
        signal.raise_signal(signal.SIGHUP)
        assert not flag.requested()


def test_handlers_are_restored_even_after_an_error(handlers):
    def mine(signum, frame):
        """Not called."""
    for number in SIGNALS:
        signal.signal(number, mine)
    with pytest.raises(ZeroDivisionError), interruption():
        assert signal.getsignal(signal.SIGINT) is not mine
        raise ZeroDivisionError
    assert all(signal.getsignal(number) is mine for number in SIGNALS)


STUCK = """
import hashlib, sys
from charlm.cli import signals
signals.DEADLINE = 0.3
with signals.interruption(lambda: "these are the last words"):
    print("ready", flush=True)
    {work}
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_process_that_cannot_stop_in_time_dies_by_the_signal(number):
    # One call that takes minutes, and during which no handler can run.
    code = STUCK.format(work="hashlib.pbkdf2_hmac('sha256', b'', b'', 10 ** 9)")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          preexec_fn=as_in_a_terminal, start_new_session=True) as process:
        assert process.stdout.readline() == b"ready\n"
        began = time.monotonic()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=LIMIT)
    assert (process.returncode, stderr) == (-number, b"charlm: these are the last words\n")
    assert 0.3 <= time.monotonic() - began < SOON


def test_a_process_that_stops_in_time_is_left_alone():
    code = STUCK.format(work="import time; time.sleep(0.1) or signals.signal.raise_signal(2)")
    done = subprocess.run([sys.executable, "-c", code + "import time\ntime.sleep(0.6)"], capture_output=True,
                          timeout=LIMIT)
    assert (done.returncode, done.stderr) == (0, b"")
