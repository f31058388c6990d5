"""INT, TERM and HUP: a training in progress leaves a model, then dies by the signal."""

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
from tests.helpers.runners import environment, run_process

LIMIT = 60
SOON = 10                               # seconds; a busy machine doubles what takes two


def as_in_a_terminal():
    """Undo signals that the test run was started with, and take stderr as the controlling terminal."""
    import fcntl
    import termios
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    if os.isatty(2):
        fcntl.ioctl(2, termios.TIOCSCTTY, 0)


class Training:
    """A training that would take minutes, in a process of its own; `seen` is its stderr so far."""

    def __init__(self, corpus, model, steps, env, *, terminal):
        self.model, self.seen = model, b""
        self.reader, writer = pty.openpty() if terminal else os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "charlm", "train", str(corpus), "-o", str(model), "--hidden", "16",
             "--layers", "1", "--threads", "1", "--patience", "0", "--steps", str(steps)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writer, env=env,
            start_new_session=True, preexec_fn=as_in_a_terminal)
        os.close(writer)
        self._thread = threading.Thread(target=self._read, args=(os.dup(self.reader),), daemon=True)
        self._thread.start()

    def _read(self, descriptor):
        try:
            while data := os.read(descriptor, 65536):
                self.seen += data
        except OSError:
            pass                        # a terminal whose last writer is gone
        os.close(descriptor)

    def wait_for(self, ready):
        end = time.monotonic() + LIMIT
        while not ready() and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        assert ready(), self.seen
        assert self.process.poll() is None, self.seen

    def ended(self):
        """Exit status, once all that was said has been read."""
        code = self.process.wait(SOON)
        self._thread.join(SOON)
        return code


@pytest.fixture(scope="module")
def trainings(tmp_path_factory, verses, wild_text):
    """Three at once, so that torch starts once: two on terminals, one into a pipe."""
    folder = tmp_path_factory.mktemp("signals")
    env = {name: value for name, value in os.environ.items() if not name.startswith("CHARLM")}
    env |= {"TERM": "xterm", "COLUMNS": "200"}
    started = {
        "control-c": Training(wild_text, folder / "c.charlm", 4000, env, terminal=True),
        "hangup": Training(verses, folder / "h.charlm", 4000, env, terminal=False),
        "term": Training(verses, folder / "t.charlm", 400_000, env, terminal=False)}
    yield started
    for training in started.values():
        if training.process.poll() is None:
            training.process.kill()
            training.process.wait()
        os.close(training.reader)


@pytest.fixture
def samples():
    """True when text can be drawn from a model."""
    def check(model):
        done = run_process("sample", "-m", model, "-n", 20, "--seed", 1)
        return done.code == 0 and len(done.text) == 20 and done.stderr == ""
    return check


def test_control_c_on_the_panel_leaves_the_best_model_and_dies_by_int(trainings, samples):
    training = trainings["control-c"]
    training.wait_for(training.model.exists)
    os.write(training.reader, b"\x03")
    assert training.ended() == -signal.SIGINT
    screen = training.seen.decode(errors="replace")
    assert "interrupted after" in screen and "next: charlm sample" in screen
    assert "␛" in screen and "\x1b[45m" not in screen
    assert "Traceback" not in screen
    assert load(str(training.model)).training["nats_per_token"] > 0
    assert samples(training.model)


def test_two_terms_before_the_first_validation_leave_the_weights_as_they_are(trainings, samples):
    training = trainings["term"]
    training.wait_for(lambda: b'event=step' in training.seen)
    assert not training.model.exists()
    training.process.send_signal(signal.SIGTERM)
    training.process.send_signal(signal.SIGTERM)
    assert training.ended() == -signal.SIGTERM
    assert b'event=stopped reason=interrupted' in training.seen
    assert "nats_per_token" not in load(str(training.model)).training
    assert samples(training.model)


def test_a_hangup_leaves_the_best_model_and_dies_by_hup(trainings, samples):
    training = trainings["hangup"]
    training.wait_for(lambda: b'event=saved' in training.seen)
    training.process.send_signal(signal.SIGHUP)
    assert training.ended() == -signal.SIGHUP
    assert b"Traceback" not in training.seen
    assert samples(training.model)
    assert [path.name for path in training.model.parent.glob(".*")] == []


def test_control_c_while_sampling_dies_by_int_without_a_word(model):
    with subprocess.Popen([sys.executable, "-m", "charlm", "sample", "-m", str(model), "-n", "10000000",
                           "--seed", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(), preexec_fn=as_in_a_terminal,
                          start_new_session=True) as process:
        assert process.stdout.read(10)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=LIMIT)
    # An empty line ends the one on which the terminal showed ^C.
    assert (process.code, said.strip()) == (-signal.SIGINT, b"")


@pytest.fixture
def handlers():
    """Lets a test set signal handlers; puts the old ones back. Until set, a signal does nothing."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda signum, frame: None)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_only_sets_the_flag_and_a_second_one_changes_nothing(handlers, number):
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


def test_handlers_are_put_back_even_after_an_error(handlers):
    def mine(signum, frame):
        """Not called."""
    for number in SIGNALS:
        signal.signal(number, mine)
    with pytest.raises(ZeroDivisionError), interruption():
        assert signal.getsignal(signal.SIGINT) is not mine
        raise ZeroDivisionError
    assert all(signal.getsignal(number) is mine for number in SIGNALS)
