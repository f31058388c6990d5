"""On a GPU: the logits and scores of the CPU, and a training run that can be resumed."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.inference.network import Network as NumpyNetwork
from charlm.nn.numpy_adapter import NumpyAdapter

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")

DEVICE = "cuda"
SECONDS = 120
VOCABULARY_SIZE = 7
DECODERS = [{}, {"cell": "gru"}, {"cell": "rnn"}, {"encoder": "bidirectional", "window": 3, "attention": True}]
SENTENCE = "the quick brown fox jumps over the lazy dog\n"
SMALL = ("--hidden", "16", "--layers", "1", "--seed", "1", "--patience", "0", "--device", DEVICE)


def make_both(**shape):
    """Return a NumPy network and one on the GPU with the same random weights."""
    config = ModelConfig(VOCABULARY_SIZE, embedding_size=5, hidden_size=8, **shape)
    rng = np.random.default_rng(4)
    weights = {name: (0.5 * rng.standard_normal(size)).astype(np.float32)
               for name, size in config.parameter_shapes().items()}
    return NumpyNetwork(config, weights), NumpyAdapter(config, weights, DEVICE)


@pytest.mark.parametrize("shape", DECODERS, ids=str)
def test_gpu_logits_of_running_text_equal_numpy_logits(shape):
    shape = shape | ({"source_vocabulary_size": VOCABULARY_SIZE} if "encoder" in shape else {})
    tokens = np.random.default_rng(5).integers(0, VOCABULARY_SIZE, (3, 8))
    expected, logits = (network.step(tokens, network.start(3))[0] for network in make_both(**shape))
    assert np.abs(logits - expected).max() < 1e-4


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("encoder", ["shared", "stacked", "bidirectional"])
def test_gpu_logits_after_a_source_equal_numpy_logits(cell, encoder):
    rng = np.random.default_rng(5)
    source, lengths, tokens = rng.integers(0, 6, (2, 4)), np.array([4, 2]), rng.integers(0, VOCABULARY_SIZE, (2, 5))
    networks = make_both(cell=cell, encoder=encoder, attention=True, source_vocabulary_size=6)
    expected, logits = (network.step(tokens, network.encode(source, lengths))[0] for network in networks)
    assert np.abs(logits - expected).max() < 1e-4


@pytest.fixture
def start_charlm(tmp_path):
    """Return a function that starts the command in an empty directory with a small `text.txt`."""
    (tmp_path / "text.txt").write_text(SENTENCE * 200)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHARLM")}

    def start(*arguments):
        return subprocess.Popen([sys.executable, "-m", "charlm", *arguments], cwd=tmp_path, env=environment, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return start


def finish(process):
    """Wait for a command that must succeed; return stdout and stderr."""
    stdout, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, stderr
    return stdout, stderr


def test_scores_on_a_gpu_equal_scores_on_the_cpu(start_charlm):
    finish(start_charlm("train", "text.txt", "--steps", "100", *SMALL))
    cpu, gpu = (np.array([line.split("\t")[0] for line in finish(
        start_charlm("score", "-m", "text.charlm", "--device", device, "text.txt"))[0].splitlines()], float)
        for device in ("cpu", DEVICE))
    assert len(cpu) == 200 and np.abs(gpu - cpu).max() < 1e-3


def test_interrupted_run_on_a_gpu_resumes_to_its_end(start_charlm):
    run = start_charlm("train", "text.txt", "--steps", "1000", *SMALL)
    while "event=step" not in (line := run.stderr.readline()):
        assert line, "the run ended before its first step"
    run.send_signal(signal.SIGINT)
    assert run.wait(SECONDS) == -signal.SIGINT
    _, progress = finish(start_charlm("train", "text.txt", "--resume"))
    assert "event=resumed" in progress and "event=stopped reason=finished step=1000" in progress
