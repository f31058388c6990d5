"""Real data that is not part of the project."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data():
    """A function from a name to its path in the folder that CHARLM_TEST_DATA names; skips without it."""
    def find(name):
        path = Path(os.environ.get("CHARLM_TEST_DATA", ""), name)
        if "CHARLM_TEST_DATA" not in os.environ or not path.is_file():
            pytest.skip(f"needs {name} in the folder that CHARLM_TEST_DATA names")
        return path
    return find
