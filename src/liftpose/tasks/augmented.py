"""Training of a lifter on real windows and on windows that an augmentation makes, in one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal, cast

import torch
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from liftpose.data.draws import BatchPlace, Draws
from liftpose.data.windows import WindowBatch
from liftpose.datamodules import IndexBatch, LiftingDataModule
from liftpose.errors import LiftposeError
from liftpose.geometry.bones import bone_lengths
from liftpose.models.lifter import Lifter, keep_statistics
from liftpose.skeletons import mirror
from liftpose.tasks.augmenters import Augmenter, RealPoses, Step
from liftpose.tasks.augmenters.base import sixteen_joints
from liftpose.tasks.lifting import LOSSES, LiftingTask
from liftpose.tasks.training_cameras import TrainingCameras

__all__ = ["AugmentedLiftingTask"]

LOGGED_ENTRY = "augmentation_logged"
"""Name of the entry in which a checkpoint holds the values that the augmentation has logged last."""

RUNNING = {"running_mean", "running_var"}

PRECISIONS = {"None", "32", "32-true", "64", "64-true", "bf16", "bf16-mixed"}

Views = Literal["steps", "joint", "none"]


class AugmentedLiftingTask(LiftingTask):
    """Train any lifter on real windows and on as many made-up ones (DH-AUG, PoseAug, and simpler ways).

    Each training batch is one step of the augmentation, then one or more steps of the lifter on the windows that it has
    made, then as many on the real ones. While the augmentation warms up the lifter is left alone, and nothing is
    validated. Optimisation is manual: every network has an optimiser of its own.

    Args:
        lifter: The network.
        augmenter: The way of making poses; ``null`` trains on the real windows alone.
        warmup_epochs: Epochs in which only the augmentation is trained.
        mirrored: The mirrored windows: steps of their own ("steps", as published), part of the same step ("joint"), or
            none.
        reversed_time: Whether windows of several frames are also shown backwards, in the same way.
        clip_norm: Largest norm of the lifter's gradients.
        fake_statistics: Whether made-up windows move the running statistics of the lifter's batch normalisation too.
            They are for evaluations, in which people are real; the published code evaluates behind a pass over the
            real windows, which leaves nothing of the others.
        seed: Seed of the random numbers of the augmentation.
        options: Options of :class:`LiftingTask`.
    """

    monitor: str = "val_mpjpe_mm"

    def __init__(
        self,
        lifter: Lifter,
        augmenter: Augmenter | None,
        warmup_epochs: int = 0,
        mirrored: Views = "steps",
        reversed_time: bool = True,
        clip_norm: float = 1.0,
        fake_statistics: bool = False,
        seed: int = 1234,
        **options: Any,
    ) -> None:
        super().__init__(lifter, **options)
        if warmup_epochs < 0:
            raise LiftposeError(f"model.warmup_epochs: expected a number from 0 up, found {warmup_epochs}")
        if not clip_norm > 0:
            raise LiftposeError(f"model.clip_norm: expected a number above 0, found {clip_norm}")
        if not any(parameter.requires_grad for parameter in lifter.parameters()):
            raise LiftposeError(
                f"model.lifter: expected a network that is trained step by step, found {type(lifter).__name__}"
            )
        self.automatic_optimization = False
        self.augmenter = augmenter
        self.warmup_epochs = warmup_epochs
        self.mirrored = mirrored
        self.reversed_time = reversed_time
        self.clip_norm = clip_norm
        self.fake_statistics = fake_statistics
        self.seed = seed
        self._cameras: TrainingCameras | None = None
        self._logged: dict[str, Tensor] = {}
        if augmenter is not None:
            augmenter.check(lifter)
            augmenter.build(lifter)

    # --------------------------------------------------------------------------------------------------- preparation
    @property
    def whole_poses(self) -> bool:
        """The augmentation begins with poses where they are; the data module asks."""
        return True

    @property
    def trains_lifter(self) -> bool:
        """Whether the augmentation has warmed up."""
        return self.current_epoch >= self.warmup_epochs

    def check_trainer(self, options: Mapping[str, Any]) -> None:
        """Refuse options of the trainer that manual optimisation does not know.

        Args:
            options: The options of the trainer.

        Raises:
            LiftposeError: One of them is set.
        """
        if (options.get("accumulate_grad_batches") or 1) > 1:
            raise LiftposeError(
                f"trainer.accumulate_grad_batches: expected 1 for {type(self).__name__}, found "
                f"{options['accumulate_grad_batches']}"
            )
        if options.get("gradient_clip_val"):
            raise LiftposeError(
                f"trainer.gradient_clip_val: expected none for {type(self).__name__}, found "
                f"{options['gradient_clip_val']} (model.clip_norm is that of the lifter)"
            )
        if str(options.get("precision")) not in PRECISIONS:
            raise LiftposeError(
                f"trainer.precision: expected bf16-mixed, 32 or 64 for {type(self).__name__}, found "
                f"{options['precision']}"
            )
        epochs = options.get("max_epochs")
        if options.get("fast_dev_run"):
            return
        if (epochs is None or epochs < 0) and self.augmenter is not None and self.augmenter.needs_epochs:
            raise LiftposeError(
                f"trainer.max_epochs: expected the number of epochs for {type(self.augmenter).__name__}, which goes by "
                f"the share that is over, found {'none' if epochs is None else epochs}"
            )
        if epochs is not None and 0 <= epochs <= self.warmup_epochs:
            raise LiftposeError(
                f"trainer.max_epochs: expected more than model.warmup_epochs ({self.warmup_epochs}), found {epochs}"
            )

    def trained_parameters(self) -> list[list[nn.Parameter]]:
        """Return what each optimiser trains: the lifter's, then those of the augmentation."""
        lifter = [parameter for parameter in self.lifter.parameters() if parameter.requires_grad]
        own = [] if self.augmenter is None else self.augmenter.networks()
        return [lifter, *(list(network.parameters()) for network in own)]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser of the lifter with its learning rates, and those of the augmentation."""
        lifter = cast(dict[str, Any], super().configure_optimizers())
        own: list[Optimizer] = []
        if self.augmenter is not None:
            own = [self.augmenter.make_optimizer(network) for network in self.augmenter.networks()]
        return [lifter["optimizer"], *own], [lifter["lr_scheduler"]]

    @property
    def lifter_epochs(self) -> tuple[int, int]:
        """How many epochs the lifter has been trained, and how many it is to be: those behind the warm-up."""
        now, epochs = super().lifter_epochs
        return max(0, now - self.warmup_epochs), epochs - self.warmup_epochs

    def on_fit_start(self) -> None:
        """Take over weights to start from; collect the cameras of the training data."""
        trainer = self.trainer
        options = ("max_epochs", "fast_dev_run", "precision")
        self.check_trainer({name: getattr(trainer, name) for name in options})  # Python's users come past the command
        super().on_fit_start()
        if self.augmenter is not None:
            data = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it late
            self._cameras = TrainingCameras.of(data)
        model = trainer.strategy.model
        if isinstance(model, DistributedDataParallel):
            # Several backward passes a batch, each for one network: averaged below, network by network.
            model.require_backward_grad_sync = False

    def on_train_start(self) -> None:
        """Refuse a number of steps in which the lifter would not be trained.

        Raises:
            LiftposeError: The warm-up has as many.
        """
        steps, warmup = self.trainer.max_steps, int(self.warmup_epochs * self.trainer.num_training_batches)
        if 0 <= steps <= warmup and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]  # set from outside
            raise LiftposeError(
                f"trainer.max_steps: expected more than the {warmup} steps of model.warmup_epochs "
                f"({self.warmup_epochs}), found {steps}"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the last values of what is not logged with every batch, such as the generator's loss.

        Args:
            checkpoint: What is going to be written.
        """
        super().on_save_checkpoint(checkpoint)
        checkpoint[LOGGED_ENTRY] = {name: value.cpu() for name, value in self._logged.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take those values up again.

        Args:
            checkpoint: What has been read.
        """
        super().on_load_checkpoint(checkpoint)
        self._logged = {name: value.to(self.device) for name, value in checkpoint.get(LOGGED_ENTRY, {}).items()}

    # ------------------------------------------------------------------------------------------------------ training
    def training_step(self, batch: WindowBatch, batch_idx: int) -> None:  # type: ignore[override]  # no loss
        """Train the augmentation, then the lifter on what it has made and on the real windows.

        Args:
            batch: Windows with the poses of all their frames.
            batch_idx: Number of the batch in the epoch.
        """
        if len(batch.keypoints_2d) < 2:
            raise LiftposeError(
                f"data.batch_size: expected at least 2 windows in a batch of each process, found "
                f"{len(batch.keypoints_2d)}"
            )
        optimizer = self._optimizers[0]
        if self.augmenter is not None:
            with torch.autocast(self.device.type, enabled=False):
                fakes = self.augmenter.augment(self._real(batch), self._step(batch))
            for name, value in self._logged.items():
                self.log(f"train_{name}", value)
            if self.trains_lifter:
                with nullcontext() if self.fake_statistics else keep_statistics(self.lifter):
                    loss = self._train_lifter(optimizer, fakes.keypoints_2d, fakes.poses_camera)
                self.log("train_loss_fake", loss)
        if self.trains_lifter:
            loss = self._train_lifter(optimizer, batch.keypoints_2d, self.target(batch), measure=True)
            self.log("train_loss", loss, prog_bar=True)
        self._share_buffers()
        self._count_step()

    def _train_lifter(self, optimizer: Optimizer, keypoints: Tensor, poses: Tensor, measure: bool = False) -> Tensor:
        """Take the steps of the lifter on windows (B, T, J, 2) with poses (B, T, J, 3); return the first loss."""
        current, root = self.lifter.current_frame, self.lifter.skeleton.root
        poses = poses[:, current, None].to(self.dtype)
        target = poses - poses[:, :, root, None]
        losses: list[Tensor] = []
        for views in self._views(keypoints.to(self.dtype), target):
            prediction = self.lifter(views[0])
            loss = LOSSES[self.loss](prediction, views[1])
            if measure and not losses:
                self.train_mpjpe.update(prediction[: len(target)].detach(), target)
            self._update(optimizer, loss, self.clip_norm)
            losses.append(loss.detach())
        return losses[0]

    def _views(self, keypoints: Tensor, target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what each step of the lifter is shown: the windows, mirrored, backwards, both."""
        views = [(keypoints, target)]
        if self.mirrored != "none":
            skeletons = (self.lifter.keypoint_skeleton, self.lifter.skeleton)
            views.append((mirror(keypoints, skeletons[0]), mirror(target, skeletons[1])))
        if self.reversed_time and keypoints.shape[1] > 1 and not self.lifter.causal:
            views += [(window.flip(1), pose) for window, pose in views]
        if self.mirrored == "joint":
            yield torch.cat([window for window, _ in views]), torch.cat([pose for _, pose in views])
        else:
            yield from views

    def _update(self, optimizer: Optimizer, loss: Tensor, clip_norm: float | None = None) -> None:
        """Take one step of an optimiser along the gradients with respect to its own parameters."""
        parameters = _parameters(optimizer)
        gradients = torch.autograd.grad(loss * self.loss_weight, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.zeros_like(parameter) if gradient is None else gradient
        if self.trainer.world_size > 1:
            _average([cast(Tensor, parameter.grad) for parameter in parameters], self.trainer.world_size)
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def on_train_epoch_end(self) -> None:
        """Log the error of the epoch and go on to the next learning rate, if the lifter has been trained.

        Raises:
            LiftposeError: The training of the augmentation has gone out of bounds.
        """
        self._check_augmenter()
        if self.trains_lifter:
            super().on_train_epoch_end()
            scheduler = cast(torch.optim.lr_scheduler.LRScheduler, self.lr_schedulers())
            scheduler.step()

    def _check_augmenter(self) -> None:
        """Refuse an augmentation that is broken: its poses would be left out, or be no numbers, without a word."""
        finite = [] if self.augmenter is None else [value.isfinite().all() for value in self.augmenter.parameters()]
        if finite and not torch.stack(finite).all():
            raise LiftposeError(
                f"model.augmenter: expected finite weights of {type(self.augmenter).__name__} after epoch "
                f"{self.current_epoch}, found others (a smaller model.augmenter.learning_rate keeps it in bounds)"
            )

    # ---------------------------------------------------------------------------------------------------- evaluation
    def validation_step(self, batch: WindowBatch, batch_idx: int) -> None:
        """Add a batch to the validation error, once the lifter has been trained."""
        if self.trains_lifter or self.trainer.state.fn != TrainerFn.FITTING:
            super().validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Log the validation errors, once the lifter has been trained: an untrained one is never the best."""
        if self.trains_lifter or self.trainer.state.fn != TrainerFn.FITTING:
            super().on_validation_epoch_end()

    @torch.no_grad()
    def sample_poses(self, count: int) -> Tensor:
        """Make poses with the augmentation as it is now.

        Args:
            count: Number of poses.

        Returns:
            (count, 16, 3) metres, world frame.

        Raises:
            LiftposeError: The augmentation makes no poses out of nothing.
        """
        if self.augmenter is None:
            raise LiftposeError("model.augmenter: expected one that makes poses, found none")
        data = cast(LiftingDataModule, self.trainer.datamodule)  # type: ignore[attr-defined]  # Lightning sets it late
        index = torch.linspace(0, len(data.windows("train")) - 1, count, device=self.device).long()
        poses = cast(Tensor, data.gather(IndexBatch("train", index, None)).poses_3d)[:, 0].to(self.dtype)
        lengths = bone_lengths(sixteen_joints(poses, self.lifter.skeleton))
        draws = Draws(self.seed, BatchPlace(0, 0, 0, count, count), self.device, poses.dtype)
        return self.augmenter.sample(lengths, draws)[:, 0]

    # --------------------------------------------------------------------------------------------------------- pieces
    @property
    def _optimizers(self) -> list[Optimizer]:
        """The optimisers themselves: Lightning's count every step, where a batch is one."""
        found = self.optimizers(use_pl_optimizer=False)
        return found if isinstance(found, list) else [found]

    def _real(self, batch: WindowBatch) -> RealPoses:
        """Return the real windows where they are, mirrored copies as they were."""
        if self._cameras is None or batch.poses_3d is None:
            raise LiftposeError("data: expected recordings with 3D poses and cameras, found keypoints only")
        poses = batch.poses_3d.to(self.dtype)
        poses = torch.where(batch.flipped[:, None, None, None], mirror(poses, self.lifter.skeleton), poses)
        if self._cameras.all.vector.device != poses.device or self._cameras.all.vector.dtype != poses.dtype:
            self._cameras = self._cameras.to(poses)
        cameras = self._cameras.all.take(self._cameras.of_sequence[batch.sequence])
        return RealPoses(poses, cameras.to_world(poses), cameras, self._cameras.all)

    def _step(self, batch: WindowBatch) -> Step:
        """Return what belongs to this step."""
        if batch.place is None:
            raise LiftposeError("data: expected batches that know their place in the training, found others")
        networks = cast(Augmenter, self.augmenter).networks()
        dtype = torch.float64 if self.dtype == torch.float64 else torch.float32
        optimizers = dict(zip(map(id, networks), self._optimizers[1:], strict=True))

        def update(network: nn.Module, loss: Tensor, clip_norm: float | None = None) -> None:
            self._update(optimizers[id(network)], loss, clip_norm)

        return Step(
            epoch=self.current_epoch,
            epochs=self.trainer.max_epochs or 0,
            iteration=self.global_step,
            draws=Draws(self.seed, batch.place, self.device, dtype),
            update=update,
            lifter=self.lifter,
            log=lambda name, value: self._logged.update({name: value.detach()}),
        )

    def _count_step(self) -> None:
        """Count a batch as one step, however many updates it was: what logs have on their axis."""
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.increment_ready()
        progress.increment_completed()

    def _share_buffers(self) -> None:
        """Give all processes the running statistics of the first one, as DDP does before every forward pass."""
        buffers = [buffer for name, buffer in self.named_buffers() if name.rpartition(".")[2] in RUNNING]
        if self.trainer.world_size > 1 and buffers:
            flat = torch.cat([buffer.flatten() for buffer in buffers])
            distributed.broadcast(flat, src=0)
            for buffer, shared in zip(buffers, torch.split(flat, [buffer.numel() for buffer in buffers]), strict=True):
                buffer.copy_(shared.view_as(buffer))


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _average(tensors: Sequence[Tensor], processes: int) -> None:
    """Average tensors over all processes, in place and in one message."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor) / processes)
