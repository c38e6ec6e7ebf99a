"""The ``liftpose`` command: parsing, routing, errors in one line."""

from __future__ import annotations

__all__: list[str] = []
