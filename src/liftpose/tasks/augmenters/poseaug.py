"""PoseAug: a generator that changes real poses, trained against critics and by what the lifter finds hard."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, distributed, nn
from torch.optim import Adam, Optimizer

from liftpose.data.draws import Draws
from liftpose.errors import LiftposeError
from liftpose.geometry import ScreenCameras
from liftpose.geometry.bones import bone_length_templates, dress
from liftpose.losses import feedback_loss, lsgan_critic_loss, lsgan_generator_loss, modification_loss
from liftpose.metrics.functional import joint_errors
from liftpose.models import Lifter
from liftpose.models.dh_critics import PoseCritic2D
from liftpose.models.fake_pool import FakePool
from liftpose.models.poseaug import NOISE_DIM, AugmentedPoses, PartCritic3D, PoseAugGenerator, PoseAugNoise, initialize
from liftpose.tasks.augmenters.base import Augmenter, FakePoses, RealPoses, Step, check_from, in_sight

__all__ = ["PoseAug"]

_CLIP_NORM = 1.0


class PoseAug(Augmenter):
    """The augmentation of Gong, Zhang and Feng, "PoseAug", CVPR 2021, for lifters of single frames.

    Real poses get bones of other directions and lengths, and are turned and moved as a whole. One critic compares the
    directions of their bones with real ones part by part, another one the pictures. After some epochs the lifter's own
    errors say how hard the new poses are to be.

    Args:
        generator_width: Width of the generator's layers.
        critic_3d_width: Width of the layers of the critic of poses.
        critic_2d_width: Width of the layers of the critic of pictures.
        feedback_from: Epoch from which the lifter's errors count.
        critic_every: Number of batches for each step of the critics; the generator has a step every time.
        pool_size: Number of made-up poses that are kept to show them to the critics again.
        templates: Whether real poses get the bone lengths of one of five Human3.6M people first.
        learning_rate: Learning rate of all networks, which goes down to 0 along a line.
        weight_3d: Weight of the critic of poses in the generator's loss.
        weight_2d: Weight of the critic of pictures.
        weight_modification: Weight of how far the changes are from what is usual.
        visible: Whether poses that their camera does not see are put where the real person stands
            (:func:`liftpose.tasks.augmenters.in_sight`); otherwise they are used with a projection that means nothing.
            The published code leaves out those that reach beyond the right or the lower edge.

    Raises:
        LiftposeError: An argument is out of range.
    """

    skeletons: ClassVar[tuple[str, ...]] = ("h36m_16",)
    needs_epochs: ClassVar[bool] = True

    template_lengths: Tensor

    def __init__(
        self,
        generator_width: int = 256,
        critic_3d_width: int = 256,
        critic_2d_width: int = 100,
        feedback_from: int = 2,
        critic_every: int = 2,
        pool_size: int = 4096,
        templates: bool = True,
        learning_rate: float = 1e-4,
        weight_3d: float = 6.0,
        weight_2d: float = 1.0,
        weight_modification: float = 3.0,
        visible: bool = True,
    ) -> None:
        super().__init__()
        check_from(1, generator_width=generator_width, critic_3d_width=critic_3d_width, critic_2d_width=critic_2d_width)
        check_from(1, critic_every=critic_every, pool_size=pool_size)
        check_from(0, weight_3d=weight_3d, weight_2d=weight_2d, weight_modification=weight_modification)
        if not 0 < learning_rate < math.inf:
            raise LiftposeError(f"model.augmenter.learning_rate: expected a number above 0, found {learning_rate}")
        self.widths = (generator_width, critic_3d_width, critic_2d_width)
        self.feedback_from = feedback_from
        self.critic_every = critic_every
        self.pool_size = pool_size
        self.templates = templates
        self.learning_rate = learning_rate
        self.weight_3d = weight_3d
        self.weight_2d = weight_2d
        self.weight_modification = weight_modification
        self.visible = visible
        self._optimizers: dict[nn.Module, Optimizer] = {}

    def check(self, lifter: Lifter) -> None:
        """Refuse a lifter of several frames, or of other joints.

        Args:
            lifter: The lifter.

        Raises:
            LiftposeError: Its windows have more than one frame, or its joints are others.
        """
        super().check(lifter)
        if lifter.receptive_field != 1:
            raise LiftposeError(
                f"model.lifter: expected a lifter of single frames for {type(self).__name__}, found one of "
                f"{lifter.receptive_field}"
            )

    def build(self, lifter: Lifter) -> None:
        """Make the generator, the critics and the pools.

        Args:
            lifter: The lifter.
        """
        self.generator = PoseAugGenerator(self.widths[0])
        self.critic_3d = PartCritic3D(self.widths[1])
        self.critic_2d = PoseCritic2D(self.widths[2])
        for network in self.networks():
            initialize(network)
        self.pool_3d = FakePool((16, 3), self.pool_size)
        self.pool_2d = FakePool((16, 2), self.pool_size)
        self.register_buffer("template_lengths", bone_length_templates(), persistent=False)

    def networks(self) -> list[nn.Module]:
        """Return the generator and the two critics."""
        return [self.generator, self.critic_3d, self.critic_2d]

    def make_optimizer(self, network: nn.Module) -> Optimizer:
        """Return Adam, the same for all networks."""
        self._optimizers[network] = Adam(network.parameters(), lr=self.learning_rate)
        return self._optimizers[network]

    def augment(self, real: RealPoses, step: Step) -> FakePoses:
        """Train the generator on a batch, every few batches the critics, and make as many windows.

        Args:
            real: A batch of the training data.
            step: What belongs to this step.

        Returns:
            The windows, without gradients.
        """
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * (1 - step.epoch / (step.epochs + 1))
        draws, cameras = step.draws, real.cameras
        given = self._real_poses(real.poses_camera[:, 0], draws)
        noise = PoseAugNoise(*draws.normal(len(PoseAugNoise._fields), NOISE_DIM).unbind(1))
        made: AugmentedPoses = self.generator(given, noise)
        keypoints = cameras.project(made.moved)
        seen = cameras.project(given)

        terms = {
            "adversarial_3d": self.weight_3d * lsgan_generator_loss(self.critic_3d(made.angled)),
            "adversarial_2d": self.weight_2d * lsgan_generator_loss(self.critic_2d(keypoints)),
            "modification": self.weight_modification * modification_loss(made.angle_change, made.length_ratios),
        }
        if step.epoch >= self.feedback_from:
            terms["feedback"] = self._feedback(given, made, cameras, step)
        loss = torch.stack(list(terms.values())).sum()
        step.update(self.generator, loss, _CLIP_NORM)
        for name, value in {**terms, "generator_loss": loss}.items():
            step.log(name, value)

        if step.iteration % self.critic_every == 0:
            self._train_critic("3d", self.critic_3d, self.pool_3d, given, made.angled, step)
            self._train_critic("2d", self.critic_2d, self.pool_2d, seen, keypoints, step)
        return self._fakes(made.moved.detach(), real)

    def _real_poses(self, poses: Tensor, draws: Draws) -> Tensor:
        """Give poses (B, 16, 3) the bone lengths of other people."""
        if not self.templates:
            return poses
        return dress(poses, self.template_lengths.to(poses)[draws.integers(len(self.template_lengths))])

    def _feedback(self, given: Tensor, made: AugmentedPoses, cameras: ScreenCameras, step: Step) -> Tensor:
        """Return the loss of poses that are too easy or too hard for the lifter."""

        def errors(poses: Tensor) -> Tensor:
            predicted = step.lifter(cameras.project(poses)[:, None])[:, 0]
            return joint_errors(predicted, poses - poses[:, :1])

        with _evaluating(step.lifter):
            three = errors(given), errors(made.angled), errors(made.moved)
        return feedback_loss(*three, progress=(step.epoch + 1) / max(step.epochs, 1))

    def _train_critic(
        self, name: str, critic: nn.Module, pool: FakePool, real: Tensor, made: Tensor, step: Step
    ) -> None:
        """Take a step of a critic on real items and on such as were made now or earlier."""
        draws = step.draws
        shares = made.detach(), draws.uniform(), draws.integers(self.pool_size)
        items, chance, places = (_of_all_processes(share, draws) for share in shares)
        shown = pool.exchange(items, chance > 0.5, places)[draws.place.start : draws.place.stop]
        loss = lsgan_critic_loss(critic(real.detach()), critic(shown))
        step.update(critic, loss, _CLIP_NORM)
        step.log(f"critic_{name}_loss", loss)

    def _fakes(self, poses_camera: Tensor, real: RealPoses) -> FakePoses:
        """Return the windows of poses (B, 16, 3) in the camera frame."""
        poses_camera = poses_camera[:, None]
        if self.visible:
            return in_sight(real.cameras.to_world(poses_camera), real.cameras, real)
        return FakePoses(poses_camera, real.cameras.project(poses_camera))


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode: no dropout, and no statistics that change."""
    before = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


def _of_all_processes(share: Tensor, draws: Draws) -> Tensor:
    """Put the shares of a global batch together, numbers as they are: the same on every process."""
    place = draws.place
    if len(share) == place.total:
        return share
    whole = torch.zeros(place.total, *share.shape[1:], dtype=share.dtype, device=share.device)
    whole[place.start : place.stop] = share
    distributed.all_reduce(whole)
    return whole
