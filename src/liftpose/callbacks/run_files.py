"""Small files of a run folder."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl

from liftpose.formats import write_text

__all__ = ["ConfigFile"]


class ConfigFile(pl.Callback):
    """Write the configuration of a run to ``config.yaml`` in its folder, when the run really starts.

    Args:
        folder: Folder of the run.
        text: The configuration as YAML; ``liftpose fit --config FOLDER/config.yaml`` repeats the run.
    """

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.text = text

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file, on the first process only."""
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / "config.yaml", self.text)
