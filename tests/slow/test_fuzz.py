"""Random headers and random sentencepiece models under valid checksums are refused or accepted, and never crash.

The files are made and read in another process (fuzz.py), so that a crash is noticed.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FUZZ = Path(__file__).resolve().parent / "fuzz.py"


@pytest.mark.parametrize("what, count", [("headers", 20_000), ("pieces", 30_000)])
def test_random_files_are_refused_or_accepted_without_a_crash(tmp_path, what, count):
    done = subprocess.run([sys.executable, str(FUZZ), what, "5", str(count), str(tmp_path)], capture_output=True,
                          text=True, timeout=240)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    ends = json.loads(done.stdout)
    assert ends["accepted"] + ends["refused"] == count
    # The files are neither all hopeless nor all harmless.
    assert ends["refused"] > 0.3 * count and ends["accepted"] > 0.01 * count
