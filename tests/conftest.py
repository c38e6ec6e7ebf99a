"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with reference data: outputs of the papers' public code and real motion capture."""
    folder = os.environ.get("LIFTPOSE_REFERENCE")
    if not folder:
        pytest.skip("LIFTPOSE_REFERENCE is not set: the reference data are not part of the repository")
    return Path(folder)
