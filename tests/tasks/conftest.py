"""Fixtures of the tests of trainings."""

from __future__ import annotations

import runpy
from pathlib import Path

by_rule = runpy.run_path(str(Path(__file__).parents[1] / "models/conftest.py"))["by_rule"]
