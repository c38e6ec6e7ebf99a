"""Checkpoints of a run folder that may be moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint

__all__ = ["RunCheckpoint"]


class RunCheckpoint(ModelCheckpoint):
    """Lightning's callback, which remembers its best score when the run folder has been moved or copied.

    Lightning forgets it then, and the first epoch of the run that goes on would take the place of a better one.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what the callback knew, its files where they lie now.

        Args:
            state_dict: The state from the checkpoint.
        """
        best = Path(str(state_dict.get("best_model_path", "")))
        here = Path(str(self.dirpath)) / best.name
        if best.name and here.is_file() and state_dict.get("dirpath") != self.dirpath:
            moved = {
                "dirpath": self.dirpath,
                "best_model_path": str(here),
                "kth_best_model_path": str(here),
                "best_k_models": {str(here): state_dict["best_model_score"]} if self.monitor else {},
            }
            state_dict = {**state_dict, **moved}
        super().load_state_dict(state_dict)
