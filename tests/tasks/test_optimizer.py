"""Which form of the optimiser a run gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from liftpose.datamodules import H36MDataModule
from liftpose.models import RIE, VideoPose
from liftpose.tasks import LiftingTask


def fitted(root: Path, **options: Any) -> torch.optim.Optimizer:
    torch.manual_seed(0)
    task = LiftingTask(RIE(filter_widths=(3,), channels=4, latent_dim=4, hidden_dim=8, stage=1))
    data = H36MDataModule(root=str(root), batch_size=16, train_subjects=["S1"])
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=2,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(task, data)
    assert trainer.global_step == 2
    return trainer.optimizers[0]


@pytest.mark.parametrize(
    ("options", "fused"),
    [
        ({}, True),
        ({"gradient_clip_val": 1.0}, True),
        ({"precision": "bf16-mixed"}, True),
        ({"precision": "bf16-mixed", "gradient_clip_val": 1.0}, None),
        ({"precision": "64-true"}, True),
    ],
)
def test_the_fused_form_is_taken_wherever_it_works(
    h36m_root: Path, options: dict[str, Any], fused: bool | None
) -> None:
    assert fitted(h36m_root, **options).defaults["fused"] is fused


def test_both_forms_take_the_same_steps() -> None:
    ends = []
    for fused in (True, None):
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 40))
        optimizer = torch.optim.AdamW([weight], lr=0.01, amsgrad=True, fused=fused)
        for step in range(20):
            optimizer.zero_grad()
            ((weight - 0.3 * step) ** 2).sum().backward()
            optimizer.step()
        ends.append(weight.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-5, atol=1e-6)


def test_without_weight_decay_it_is_the_adam_of_videopose3d() -> None:
    task = LiftingTask(VideoPose(filter_widths=(3,), channels=4, dropout=0), weight_decay=0.0, learning_rate=0.01)
    other = VideoPose(filter_widths=(3,), channels=4, dropout=0)
    other.load_state_dict(task.lifter.state_dict())
    own = task.configure_optimizers()
    assert isinstance(own, dict)
    adam = torch.optim.Adam(other.parameters(), lr=0.01, amsgrad=True)
    keypoints, weight = torch.randn(8, 3, 17, 2), torch.randn(8, 1, 17, 3)
    for lifter, optimizer in ((task.lifter, own["optimizer"]), (other, adam)):
        for _ in range(5):
            optimizer.zero_grad()
            (lifter(keypoints) * weight).sum().backward()
            optimizer.step()
    for parameter, expected in zip(task.lifter.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected, rtol=1e-4, atol=1e-6)
