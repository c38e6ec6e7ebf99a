"""The recipe: stages, frozen parts, schedules, test-time flip, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from liftpose.datamodules import H36MDataModule, IndexBatch
from liftpose.errors import LiftposeError
from liftpose.models import RIE, VideoPose
from liftpose.tasks import LiftingTask

LEFT, RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]


def small_rie(stage: int = 1, **options: Any) -> RIE:
    sizes = {"filter_widths": (3, 3), "channels": 8, "latent_dim": 8, "hidden_dim": 16}
    return RIE(**{**sizes, **options}, stage=stage)


def trainer(folder: Path | None = None, **options: Any) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        use_distributed_sampler=False, enable_checkpointing=folder is not None, default_root_dir=folder, **options,
    )  # fmt: skip


@pytest.fixture
def data(h36m_root: Path) -> H36MDataModule:
    return H36MDataModule(root=str(h36m_root), batch_size=64, train_subjects=["S1"], validation_subjects=["S9"])


def fit(task: LiftingTask, data: H36MDataModule, **options: Any) -> pl.Trainer:
    fitting = trainer(**{"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 0, **options})
    fitting.fit(task, data)
    return fitting


def save(task: LiftingTask, data: H36MDataModule, path: Path) -> str:
    fitted = fit(task, data)
    fitted.save_checkpoint(path)
    return str(path)


@pytest.mark.parametrize("stage", [2, 3])
def test_a_later_stage_has_to_be_told_where_to_start(stage: int, data: H36MDataModule) -> None:
    with pytest.raises(LiftposeError, match=f"model.init_from: expected the checkpoint of stage {stage - 1}"):
        fit(LiftingTask(small_rie(stage)), data)
    fit(LiftingTask(small_rie(stage), init_from=None), data)


def test_stage_2_takes_over_and_keeps_the_encoders(data: H36MDataModule, tmp_path: Path) -> None:
    first = LiftingTask(small_rie())
    path = save(first, data, tmp_path / "stage1.ckpt")
    second = LiftingTask(small_rie(2), init_from=path, freeze=["encoders"])
    fresh = {name: value.clone() for name, value in second.lifter.state_dict().items()}
    fit(second, data)
    after = second.lifter.state_dict()
    parameters = dict(second.lifter.named_parameters())
    for name, value in first.lifter.state_dict().items():
        if name.startswith(("local_encoder.", "global_encoder.")):
            if name in parameters:
                assert torch.equal(after[name], value), name
            elif "running" in name:
                assert not torch.equal(after[name], value), name  # as published: the statistics go on moving
    assert any(not torch.equal(after[name], fresh[name]) for name in after if name.startswith("fusion."))
    third = LiftingTask(small_rie(3), init_from=save(second, data, tmp_path / "stage2.ckpt"))
    third.check("fit", None)
    assert all(
        torch.equal(value, second.lifter.state_dict()[name]) for name, value in third.lifter.state_dict().items()
    )


def test_frozen_statistics_stay(data: H36MDataModule) -> None:
    task = LiftingTask(small_rie(2), init_from=None, freeze=["encoders"], freeze_statistics=True)
    before = {name: value.clone() for name, value in task.lifter.state_dict().items() if "encoder" in name}
    fit(task, data)
    assert all(torch.equal(value, task.lifter.state_dict()[name]) for name, value in before.items())


def test_weights_of_a_lifter_that_reads_its_windows_otherwise(data: H36MDataModule, tmp_path: Path) -> None:
    path = save(LiftingTask(small_rie()), data, tmp_path / "centred.ckpt")
    with pytest.raises(LiftposeError, match=r"model.init_from: .*centred.ckpt: .*causal True, found False"):
        fit(LiftingTask(small_rie(2, causal=True), init_from=path), data)
    with pytest.raises(LiftposeError, match=r"--ckpt_path: expected a lifter with causal True, found False"):
        trainer().test(LiftingTask(small_rie(causal=True)), data, ckpt_path=path)


def test_something_is_left_to_train() -> None:
    with pytest.raises(LiftposeError, match="freeze: expected parts that leave something to train"):
        LiftingTask(small_rie(), freeze=["encoders", "decoder"])


def test_only_trainable_parameters_are_optimised() -> None:
    task = LiftingTask(small_rie(2), init_from=None, freeze=["encoders"])
    optimizer = task.configure_optimizers()["optimizer"]  # type: ignore[index, call-overload]
    chosen = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    names = {name for name, parameter in task.lifter.named_parameters() if id(parameter) in chosen}
    assert names == {name for name, _ in task.lifter.named_parameters() if name.startswith(("fusion.", "decoder."))}
    assert optimizer.defaults["amsgrad"]
    assert optimizer.defaults["weight_decay"] == 0.01


def test_unknown_part_to_freeze() -> None:
    with pytest.raises(LiftposeError, match=r"freeze: expected names of submodules of RIE .*found encoder"):
        LiftingTask(small_rie(), freeze=["encoder"])


class Schedules(pl.Callback):
    """What the schedules give in every epoch."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.momenta: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, LiftingTask)
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.momenta.append(pl_module.lifter.local_encoder.expand_norm.momentum)
        assert pl_module.lifter.decoder.input_norm.momentum == 0.1  # the published schedule leaves these alone


def test_schedules_follow_the_epoch(data: H36MDataModule) -> None:
    seen = Schedules()
    fit(LiftingTask(small_rie()), data, max_epochs=4, limit_train_batches=1, callbacks=[seen])
    assert seen.rates == pytest.approx([1e-3 * 0.95**epoch for epoch in range(4)])
    assert seen.momenta == pytest.approx([0.1 * np.exp(-epoch / 4 * np.log(100)) for epoch in range(4)])


def test_flip_averages_with_the_mirrored_window() -> None:
    lifter = small_rie().eval()
    keypoints = torch.randn(5, 9, 17, 2)

    def flip(points: torch.Tensor) -> torch.Tensor:
        points = points.clone()
        points[..., 0] *= -1
        points[..., LEFT + RIGHT, :] = points[..., RIGHT + LEFT, :]
        return points

    with torch.no_grad():
        expected = (lifter(keypoints) + flip(lifter(flip(keypoints)))) / 2
        assert torch.allclose(LiftingTask(lifter).predict(keypoints), expected, atol=1e-6)
        assert torch.equal(LiftingTask(lifter, flip_test=False).predict(keypoints), lifter(keypoints))


def test_validation_error_is_the_mean_over_all_frames(data: H36MDataModule) -> None:
    task = LiftingTask(small_rie(), flip_test=False)
    fitting = fit(task, data, limit_val_batches=None)
    logged = float(fitting.callback_metrics["val_mpjpe_mm"])
    data.setup("validate")
    windows = data.windows("validation")
    batch = data.gather(IndexBatch("validation", torch.arange(len(windows)), None))
    with torch.no_grad():
        prediction = task.lifter.eval()(batch.keypoints_2d).numpy()
    assert batch.poses_3d is not None
    distances = np.sqrt(((prediction - batch.poses_3d.numpy()).astype(np.float64) ** 2).sum(-1))
    assert logged == pytest.approx(1000 * distances.mean(), rel=1e-6)


def test_checkpoints_hold_plain_values_only(data: H36MDataModule, tmp_path: Path) -> None:
    task = LiftingTask(small_rie(), learning_rate=0.002)
    path = save(task, data, tmp_path / "run.ckpt")
    content = torch.load(path, weights_only=True)
    assert content["hyper_parameters"]["learning_rate"] == 0.002
    assert "lifter" not in content["hyper_parameters"]
    again = LiftingTask.load_from_checkpoint(path, lifter=small_rie(), weights_only=True)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in task.state_dict().items())


def test_a_resumed_run_ends_like_one_that_was_never_stopped(data: H36MDataModule, tmp_path: Path) -> None:
    def task() -> LiftingTask:
        torch.manual_seed(0)
        return LiftingTask(small_rie(dropout=0, fc_dropout=0))

    straight = task()
    fit(straight, data, max_epochs=3, limit_train_batches=None)
    stopped = task()
    trainer_of_stopped = trainer(max_epochs=3, limit_val_batches=0, callbacks=[_StopAfter(1)])
    trainer_of_stopped.fit(stopped, data)
    trainer_of_stopped.save_checkpoint(tmp_path / "stopped.ckpt")
    resumed = task()
    trainer(max_epochs=3, limit_val_batches=0).fit(resumed, data, ckpt_path=tmp_path / "stopped.ckpt")
    changed = [
        name for name, value in straight.state_dict().items() if not torch.equal(value, resumed.state_dict()[name])
    ]
    assert not changed


class _StopAfter(pl.Callback):
    """Stop the run after an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch >= self.epoch


def test_the_root_of_a_prediction_may_be_subtracted() -> None:
    lifter = VideoPose(skeleton="h36m_16", filter_widths=(1,), channels=4).eval()
    keypoints = torch.randn(5, 1, 16, 2)
    plain, relative = (LiftingTask(lifter, subtract_root=value).predict(keypoints) for value in (False, True))
    assert plain[:, :, 0].abs().min() > 0
    assert torch.equal(relative, plain - plain[:, :, :1])
