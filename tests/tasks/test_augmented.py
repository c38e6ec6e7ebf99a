"""Training beside an augmentation: what the lifter is shown, what is counted, and when it is validated."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from liftpose.data import Recording
from liftpose.datamodules import H36MDataModule, IndexBatch
from liftpose.errors import LiftposeError
from liftpose.metrics.functional import mpjpe
from liftpose.models import MeanPose, VideoPose
from liftpose.skeletons import H36M_16, mirror
from liftpose.tasks import AugmentedLiftingTask, Augmenter, DHAug, PoseAug
from liftpose.tasks.augmenters import FakePoses, RealPoses, Step

TESTS = Path(__file__).parents[1]


class Mirrors(Augmenter):
    """Gives the real windows back, one metre nearer, and trains one number towards the mean depth."""

    def build(self, lifter: object) -> None:
        """Make the number, and remember what comes."""
        self.number = nn.Linear(1, 1, bias=False)
        self.seen: list[tuple[RealPoses, Step]] = []

    def networks(self) -> list[nn.Module]:
        """The one number."""
        return [self.number]

    def make_optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """Plain descent with the rate 1."""
        return torch.optim.SGD(network.parameters(), lr=1.0)

    def augment(self, real: RealPoses, step: Step) -> FakePoses:
        """Take one step and give the windows back."""
        self.seen.append((real, step))
        step.update(self.number, self.number.weight.sum() * 3)
        nearer = real.poses_camera - torch.tensor([0, 0, 1.0])
        return FakePoses(nearer, real.cameras.project(nearer))


def lifter(**options: object) -> VideoPose:
    return VideoPose(**({"skeleton": "h36m_16", "filter_widths": (1, 1), "channels": 8} | options))  # type: ignore[arg-type]


def data_of(root: Path, **options: object) -> H36MDataModule:
    given = {"joints": "h36m_16", "batch_size": 64, "flip": "none", "actions": ["Walking"]} | options
    return H36MDataModule(str(root), **given)  # type: ignore[arg-type]


def fit(task: AugmentedLiftingTask, data: H36MDataModule, **options: object) -> pl.Trainer:
    given = {"max_epochs": 1, "limit_train_batches": 3, "logger": False, "enable_checkpointing": False}
    given |= {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu", "limit_val_batches": 1}
    trainer = pl.Trainer(**(given | options))  # type: ignore[arg-type]
    trainer.fit(task, data)
    return trainer


def test_what_the_augmentation_is_given(h36m_root: Path) -> None:
    task = AugmentedLiftingTask(lifter(filter_widths=(3,)), Mirrors())
    data = data_of(h36m_root, flip="chance")
    fit(task, data)
    recordings = data.recordings("train")
    (real, step), *_ = task.augmenter.seen  # type: ignore[union-attr]
    data.setup("fit")
    batch = data.train_dataloader().dataset[(0, 0)]
    assert batch.flip is not None
    assert batch.flip.any()
    lengths = torch.tensor([len(recording) for recording in recordings])
    sequence = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    frame = torch.cat([torch.arange(length) for length in lengths])
    for row, index in enumerate(batch.indices.tolist()):
        recording, at = recordings[int(sequence[index])], int(frame[index])
        frames = [min(max(at + offset, 0), len(recording) - 1) for offset in (-1, 0, 1)]
        world = torch.from_numpy(recording.poses_3d[frames])
        torch.testing.assert_close(real.poses_world[row], world, rtol=0, atol=1e-5)  # mirrored copies as they were
        own = recording.camera.to(dtype=torch.float32).to_camera(world)
        torch.testing.assert_close(real.poses_camera[row], own, rtol=0, atol=1e-5)
    assert (step.epoch, step.epochs, step.iteration, len(step.draws)) == (0, 1, 0, 64)
    people = {recording.subject for recording in recordings}
    assert len(real.all_cameras.vector) == 4 * len(people)


def test_one_batch_is_one_step_and_the_networks_learn(h36m_root: Path) -> None:
    task = AugmentedLiftingTask(lifter(), Mirrors())
    before = [parameter.detach().clone() for parameter in task.lifter.parameters()]
    start = task.get_parameter("augmenter.number.weight").item()
    trainer = fit(task, data_of(h36m_root))
    assert trainer.global_step == 3
    assert [step.iteration for _, step in task.augmenter.seen] == [0, 1, 2]  # type: ignore[union-attr]
    assert task.get_parameter("augmenter.number.weight").item() == pytest.approx(start - 3 * 3.0)
    assert any(not torch.equal(one, other) for one, other in zip(before, task.lifter.parameters(), strict=True))


class Recorder(VideoPose):
    """Remembers what it is shown in training."""

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        """Remember, then predict."""
        if self.training:
            self.__dict__.setdefault("shown", []).append(keypoints_2d)
        return super().forward(keypoints_2d)


@pytest.mark.parametrize("mirrored", ["steps", "joint", "none"])
@pytest.mark.parametrize("reversed_time", [True, False])
def test_what_the_lifter_is_shown(h36m_root: Path, mirrored: str, reversed_time: bool) -> None:
    network = Recorder(skeleton="h36m_16", filter_widths=(3,), channels=4)
    task = AugmentedLiftingTask(network, None, mirrored=mirrored, reversed_time=reversed_time)  # type: ignore[arg-type]
    data = data_of(h36m_root)
    fit(task, data, limit_train_batches=1, limit_val_batches=0)
    data.setup("fit")
    batch = data.train_dataloader().dataset[(0, 0)]
    window = data.gather(IndexBatch("train", batch.indices, None)).keypoints_2d
    views = [window] + ([] if mirrored == "none" else [mirror(window, H36M_16)])
    views += [view.flip(1) for view in views] if reversed_time else []
    expected = [torch.cat(views)] if mirrored == "joint" else views
    shown = network.__dict__["shown"]
    assert len(shown) == len(expected)
    assert all(torch.equal(one, other) for one, other in zip(shown, expected, strict=True))


def test_the_warm_up_leaves_the_lifter_alone_and_is_not_validated(
    liftpose: Callable[..., tuple[int, str, str]], h36m_root: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["--config", "dhaug_videopose.yaml", "--config", str(TESTS / "tiny.yaml")]
    words += ["--config", str(TESTS / "tiny_videopose.yaml"), "--config", str(TESTS / "tiny_dhaug.yaml")]
    words += [f"--data.root={h36m_root}", "--model.warmup_epochs=2"]
    code, _, err = liftpose("fit", *words, f"--trainer.default_root_dir={run}", "--trainer.max_epochs=2")
    assert (code, err) == (
        2,
        "liftpose: error: trainer.max_epochs: expected more than model.warmup_epochs (2), found 2\n",
    )
    assert not run.exists()
    rates = ["--model.learning_rate=0.25", "--model.linear_decay_epochs=3", "--trainer.max_epochs=5"]
    assert liftpose("fit", *words, f"--trainer.default_root_dir={run}", *rates)[0] == 0
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    validated = [row["epoch"] for row in rows if row["val_mpjpe_mm"]]
    assert validated == ["2", "3", "4"]
    assert [float(row["lr-AdamW"]) for row in rows if row["lr-AdamW"]] == [0.25, 0.25, 0.25, 0.1875, 0.125]
    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] >= 3  # epochs that have ended
    assert best["global_step"] == 2 * best["epoch"]


def test_the_error_of_an_epoch_is_that_of_the_real_windows(h36m_root: Path) -> None:
    task = AugmentedLiftingTask(lifter(dropout=0.0), Mirrors(), mirrored="none", learning_rate=1e-30)
    task.lifter.train()
    data = data_of(h36m_root, batch_size=100000)
    trainer = fit(task, data, limit_train_batches=1)
    data.setup("fit")
    batch = data.gather(IndexBatch("train", torch.arange(len(data.windows("train"))), None))
    target = batch.poses_3d - batch.poses_3d[:, :, :1]
    with torch.no_grad():
        expected = 1000 * mpjpe(task.lifter.train()(batch.keypoints_2d), target)
    assert float(trainer.callback_metrics["train_mpjpe_mm"]) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"skeleton": "humaneva_15"},
            "model.lifter.skeleton: expected h36m_16 or h36m_17 for DHAug, found humaneva_15",
        ),
        (
            {"skeleton": "h36m_16", "keypoint_skeleton": "h36m_17"},
            "model.lifter.keypoint_skeleton: expected h36m_16 as the poses for DHAug, found h36m_17",
        ),
    ],
)
def test_lifters_of_other_joints_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(LiftposeError) as caught:
        AugmentedLiftingTask(lifter(**options), DHAug())
    assert str(caught.value) == message


def test_lifters_in_closed_form_are_refused() -> None:
    with pytest.raises(LiftposeError, match=r"model.lifter: expected a network that is trained step by step, found Me"):
        AugmentedLiftingTask(MeanPose(skeleton="h36m_16"), None)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("accumulate_grad_batches", 2, "trainer.accumulate_grad_batches: expected 1 for AugmentedLiftingTask, found 2"),
        ("gradient_clip_val", 1.0, "trainer.gradient_clip_val: expected none for AugmentedLiftingTask, found 1.0"),
        ("precision", "16-mixed", "trainer.precision: expected bf16-mixed, 32 or 64 for Augmented"),
        ("precision", "bf16-true", "trainer.precision: expected bf16-mixed, 32 or 64 for Augmented"),
    ],
)
def test_options_of_automatic_optimisation_are_refused(option: str, value: object, message: str) -> None:
    task = AugmentedLiftingTask(lifter(), None)
    with pytest.raises(LiftposeError) as caught:
        task.check_trainer({option: value})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("option", "value"), [("warmup_epochs", -1), ("clip_norm", 0), ("linear_decay_epochs", -1)])
def test_numbers_out_of_range(option: str, value: float) -> None:
    with pytest.raises(LiftposeError, match=f"model.{option}: expected a number"):
        AugmentedLiftingTask(lifter(), None, **{option: value})  # type: ignore[arg-type]


def test_an_evaluation_needs_the_lifter_only(
    liftpose: Callable[..., tuple[int, str, str]], h36m_root: Path, tmp_path: Path
) -> None:
    tiny = ["--config", str(TESTS / "tiny.yaml"), "--config", str(TESTS / "tiny_videopose.yaml")]
    gan = ["--config", "dhaug_videopose.yaml", *tiny, "--config", str(TESTS / "tiny_dhaug.yaml")]
    alone = ["--config", "videopose_single.yaml", *tiny, "--data.joints=h36m_16", "--model.flip_test=false"]
    alone += ["--model.lifter.skeleton=h36m_16", "--model.lifter.predict_root=false"]
    words = [f"--data.root={h36m_root}", f"--trainer.default_root_dir={tmp_path / 'gan'}"]
    assert liftpose("fit", *gan, *words)[0] == 0
    code, _, err = liftpose("test", *gan, *words, "--ckpt_path=last")
    assert code == 0, err
    results = [json.loads((tmp_path / "gan/test_results.json").read_text())["actions"]]
    for name, options in (
        ("plain", alone),  # without the networks of the augmentation
        ("other", [*gan, "--model.augmenter.critic_3d_width=12"]),  # with others
    ):
        words[1] = f"--trainer.default_root_dir={tmp_path / name}"
        code, _, err = liftpose("test", *options, *words, f"--ckpt_path={tmp_path / 'gan/checkpoints/last.ckpt'}")
        assert code == 0, err
        results.append(json.loads((tmp_path / name / "test_results.json").read_text())["actions"])
    assert results[0] == results[1] == results[2]
    code, _, err = liftpose("fit", *alone, *words, f"--ckpt_path={tmp_path / 'gan/checkpoints/last.ckpt'}")
    assert code == 2
    assert "expected a checkpoint of liftpose.tasks.LiftingTask, found liftpose.tasks.AugmentedLiftingTask" in err


class Rounded(VideoPose):
    """Remembers whether its last layer computes with the weights as they are."""

    def __init__(self) -> None:
        super().__init__(skeleton="h36m_16", filter_widths=(1, 1), channels=8)
        self.last = nn.Linear(3, 3, bias=False)

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        """Compare, then predict."""
        if self.training:
            used = self.last(torch.eye(3))
            assert used.dtype == torch.bfloat16
            same = torch.equal(used, self.last.weight.detach().to(torch.bfloat16).T)
            self.__dict__.setdefault("current", []).append(same)
        return self.last(super().forward(keypoints_2d))


def test_mixed_precision_uses_the_weights_of_the_step_before(h36m_root: Path) -> None:
    network = Rounded()
    task = AugmentedLiftingTask(network, Mirrors(), learning_rate=0.1)
    fit(task, data_of(h36m_root), precision="bf16-mixed", limit_val_batches=0)
    assert network.__dict__["current"] == [True] * 12


def test_the_momentum_of_the_statistics_falls_with_the_epochs_of_the_lifter(h36m_root: Path) -> None:
    network = lifter()
    task = AugmentedLiftingTask(network, None, warmup_epochs=2, batchnorm_momentum_decay=0.01, mirrored="none")
    momenta: list[float] = []
    network.register_forward_pre_hook(lambda *_: momenta.append(network.expand_norm.momentum))
    fit(task, data_of(h36m_root), max_epochs=4, limit_train_batches=1, limit_val_batches=0)
    assert momenta == pytest.approx([0.1, 0.01])


class Diverges(Mirrors):
    """Takes a step that leads nowhere."""

    def augment(self, real: RealPoses, step: Step) -> FakePoses:
        """Take it."""
        step.update(self.number, self.number.weight.sum() * torch.inf)
        return FakePoses(real.poses_camera, real.cameras.project(real.poses_camera))


def test_an_augmentation_that_diverges_ends_the_run(h36m_root: Path) -> None:
    task = AugmentedLiftingTask(lifter(), Diverges(), warmup_epochs=1)
    with pytest.raises(LiftposeError) as caught:
        fit(task, data_of(h36m_root), max_epochs=2)
    assert str(caught.value) == (
        "model.augmenter: expected finite weights of Diverges after epoch 0, found others (a smaller "
        "model.augmenter.learning_rate keeps it in bounds)"
    )


def test_a_run_that_would_end_in_the_warm_up_is_refused(h36m_root: Path) -> None:
    task = AugmentedLiftingTask(lifter(), Mirrors(), warmup_epochs=2)
    with pytest.raises(LiftposeError) as caught:
        fit(task, data_of(h36m_root), max_epochs=-1, max_steps=6)
    assert str(caught.value) == (
        "trainer.max_steps: expected more than the 6 steps of model.warmup_epochs (2), found 6"
    )
    task = AugmentedLiftingTask(lifter(), Mirrors(), warmup_epochs=2)
    assert fit(task, data_of(h36m_root), max_epochs=-1, max_steps=7).global_step == 7
    with pytest.raises(LiftposeError, match=r"trainer.max_epochs: expected more than model.warmup_epochs \(2\), found"):
        fit(AugmentedLiftingTask(lifter(), Mirrors(), warmup_epochs=2), data_of(h36m_root), max_epochs=2)


@pytest.mark.parametrize("options", [{"max_epochs": -1}, {"max_epochs": None}])
def test_poseaug_has_to_know_the_end(h36m_root: Path, options: dict[str, int | None]) -> None:
    task = AugmentedLiftingTask(lifter(filter_widths=(1,)), PoseAug(8, 8, 8))
    found = "none" if options["max_epochs"] is None else "-1"
    message = "trainer.max_epochs: expected the number of epochs for PoseAug, which goes by the share that is over, "
    with pytest.raises(LiftposeError) as caught:
        task.check_trainer(options)
    assert str(caught.value) == f"{message}found {found}"
    with pytest.raises(LiftposeError) as caught:
        fit(task, data_of(h36m_root), max_steps=3, **options)
    assert str(caught.value) == f"{message}found -1"  # what Lightning makes of both


class OtherLenses(H36MDataModule):
    """Human3.6M seen through lenses that nine numbers do not describe."""

    def load_recordings(self, split: str) -> list[Recording]:
        """Exchange the lenses."""
        read = super().load_recordings(split)
        lenses = [replace(recording.camera, distortion_model="opencv") for recording in read]
        return [replace(recording, camera=camera) for recording, camera in zip(read, lenses, strict=True)]


def test_lenses_matter_to_an_augmentation_only(h36m_root: Path) -> None:
    data = OtherLenses(str(h36m_root), joints="h36m_16", batch_size=64, flip="none", actions=["Walking"])
    with pytest.raises(LiftposeError, match=r"data: .*opencv"):
        fit(AugmentedLiftingTask(lifter(), Mirrors()), data, limit_val_batches=0)
    assert fit(AugmentedLiftingTask(lifter(), None), data, limit_val_batches=0).global_step == 3


class Far(Mirrors):
    """Makes windows whose keypoints lie far from all real ones."""

    def augment(self, real: RealPoses, step: Step) -> FakePoses:
        """Give the real poses with other keypoints."""
        fakes = super().augment(real, step)
        return fakes._replace(keypoints_2d=100 + fakes.keypoints_2d)


@pytest.mark.parametrize("fake_statistics", [False, True])
def test_made_up_windows_leave_the_running_statistics_alone(h36m_root: Path, fake_statistics: bool) -> None:
    trained = {}
    for name, augmenter in (("real", None), ("far", Far())):
        torch.manual_seed(3)
        network = lifter(dropout=0.0)
        options = {"learning_rate": 1e-30, "fake_statistics": fake_statistics}
        task = AugmentedLiftingTask(network, augmenter, **options)  # type: ignore[arg-type]
        fit(task, data_of(h36m_root))
        assert network.expand_norm.momentum == pytest.approx(0.1)
        trained[name] = network.expand_norm.running_mean
    same = torch.allclose(trained["real"], trained["far"], atol=1e-5)
    assert same is not fake_statistics
