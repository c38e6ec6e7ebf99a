"""liftpose: 3D human pose from keypoints and pictures, on PyTorch Lightning."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0.dev0"
