"""One compressed file whatever BLAS kernels, threads and vector instructions compute it, with and without learning."""

import hashlib

import numpy as np
import pytest

from charlm.config import ModelConfig
from charlm.modelfile import Model, save
from charlm.text.tokenizers.registry import train
from tests.helpers.models import random_weights
from tests.helpers.runners import run_process
from tests.helpers.texts import VERSES

pytestmark = pytest.mark.slow

KERNELS = [None, "PRESCOTT", "NEHALEM", "SANDYBRIDGE", "HASWELL", "ZEN", "SKYLAKEX"]
SETTINGS = [{"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": threads} for kernel in KERNELS
            for threads in ("1", "2")] + [
    {"NPY_DISABLE_CPU_FEATURES": features} for features in (
        "AVX2 FMA3", "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL")]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("flags", [[], ["--lanes", "32", "--no-adapt"]], ids=["adaptive", "lanes"])
def test_all_settings_give_one_digest(tmp_path, cell, flags):
    tokenizer = train("char", [VERSES], vocabulary_size=None)
    config = ModelConfig(tokenizer.size, cell=cell, hidden_size=150, embedding_size=32)
    weights = {name: values / max(values.shape[-1], 1) ** 0.5 for name, values in random_weights(config).items()}
    path, text = str(tmp_path / "m.charlm"), tmp_path / "text"
    save(path, Model(config, tokenizer, {name: values.astype(np.float32) for name, values in weights.items()}, {}))
    text.write_bytes(VERSES.encode()[:1500])
    digests = {hashlib.blake2b(run_process("compress", "-m", path, "--quiet", *flags, text, env=env).check().stdout,
                               digest_size=8).hexdigest() for env in SETTINGS}
    assert len(digests) == 1 and len(SETTINGS) >= 12
