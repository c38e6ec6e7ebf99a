"""PoseAug's training: what is updated when and by which loss, the pool, the feedback, which poses come out."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from liftpose.data.draws import BatchPlace, Draws
from liftpose.errors import LiftposeError
from liftpose.geometry import project_published
from liftpose.geometry.bones import bone_length_templates, bone_lengths
from liftpose.models import VideoPose
from liftpose.models.poseaug import PoseAugNoise
from liftpose.tasks.augmenters import RealPoses, Step
from liftpose.tasks.augmenters import poseaug as module
from liftpose.tasks.augmenters.poseaug import PoseAug

TINY: dict[str, Any] = {"generator_width": 8, "critic_3d_width": 6, "critic_2d_width": 7, "pool_size": 12}

MakeReal = Callable[..., RealPoses]
MakeStep = Callable[..., Step]


@pytest.fixture
def make(build: Callable[..., Any]) -> Callable[..., PoseAug]:
    """A small augmenter, float64."""
    return lambda **options: build(PoseAug(**(TINY | options))).double()


def adverse(scores: Tensor, wanted: float) -> Tensor:
    """The published criterion."""
    return torch.nn.functional.mse_loss(scores, torch.full_like(scores, wanted))


def drawn(step: Step) -> tuple[Tensor, PoseAugNoise]:
    """The numbers that a step begins with, asked for anew."""
    draws = Draws(3, step.draws.place, dtype=torch.float64)
    return draws.integers(5), PoseAugNoise(*draws.normal(4, 48).unbind(1))


@pytest.mark.parametrize("epoch", [0, 2])
def test_the_loss_of_the_generator(
    make: Callable[..., PoseAug], make_real: MakeReal, make_step: MakeStep, updates: Any, epoch: int
) -> None:
    augmenter, real = make(), make_real(dtype=torch.float64)
    lifter = VideoPose("h36m_16", filter_widths=(1,), channels=4).double()
    step, before = make_step(epoch=epoch, dtype=torch.float64, lifter=lifter), copy.deepcopy(augmenter)
    augmenter.augment(real, step)

    rows, noise = drawn(step)
    poses, vector = real.poses_camera[:, 0], real.cameras.vector
    lengths = bone_length_templates(dtype=torch.float64)[rows]
    given = module.dress(poses, lengths)
    torch.testing.assert_close(bone_lengths(given), lengths)
    made = before.generator(given, noise)
    expected = 6 * 0.5 * adverse(before.critic_3d(made.angled), 1.0)
    expected += 0.5 * adverse(before.critic_2d(project_published(made.moved, vector)), 1.0)
    expected += 3 * module.modification_loss(made.angle_change, made.length_ratios)
    if epoch == 2:
        lifter.eval()
        errors = [
            (lifter(project_published(kind, vector)[:, None])[:, 0] - kind + kind[:, :1]).norm(dim=-1)
            for kind in (given, made.angled, made.moved)
        ]
        expected += module.feedback_loss(*errors, progress=3 / 10)
    network, loss, clip_norm = updates.of[0]
    assert network is augmenter.generator
    assert clip_norm == 1
    torch.testing.assert_close(loss, expected)


def test_the_critics_have_a_step_every_other_batch(
    make: Callable[..., PoseAug], make_real: MakeReal, make_step: MakeStep, updates: Any
) -> None:
    augmenter, real = make(critic_every=2), make_real(dtype=torch.float64)
    for iteration, expected in enumerate((3, 4, 7, 8)):
        before = copy.deepcopy(augmenter)
        step = make_step(iteration, dtype=torch.float64)
        augmenter.augment(real, step)
        assert len(updates.of) == expected
        networks = [network for network, _, _ in updates.of[-3:]]
        assert (networks == augmenter.networks()) == (iteration % 2 == 0)
        if iteration:
            continue
        # The first batch is not larger than the pool: it is shown as it is.
        rows, noise = drawn(step)
        given = module.dress(real.poses_camera[:, 0], bone_length_templates(dtype=torch.float64)[rows])
        made = before.generator(given, noise)
        for name, of_real, of_fake in (
            ("critic_3d", given, made.angled),
            ("critic_2d", real.cameras.project(given), real.cameras.project(made.moved)),
        ):
            critic = getattr(before, name)
            loss = (adverse(critic(of_real), 1.0) + adverse(critic(of_fake), 0.0)) / 2
            found = [(value, norm) for network, value, norm in updates.of if network is getattr(augmenter, name)]
            torch.testing.assert_close(found[0][0], loss)
            assert found[0][1] == 1
        assert augmenter.pool_3d.count == augmenter.pool_2d.count == 8


def test_the_poses_that_come_out(make: Callable[..., PoseAug], make_real: MakeReal, make_step: MakeStep) -> None:
    real = make_real(count=40, dtype=torch.float64)
    published, careful = make(visible=False), make()
    step = make_step(count=40, dtype=torch.float64)
    generator = copy.deepcopy(published.generator)
    fakes = published.augment(real, step)
    rows, noise = drawn(step)
    made = generator(module.dress(real.poses_camera[:, 0], bone_length_templates(dtype=torch.float64)[rows]), noise)
    torch.testing.assert_close(fakes.poses_camera[:, 0], made.moved.detach())
    torch.testing.assert_close(fakes.keypoints_2d, project_published(fakes.poses_camera, real.cameras.vector))
    seen = real.cameras.sees(*fakes).flatten(1).all(1)
    assert not seen.all()  # the generator knows nothing yet

    chosen = careful.augment(real, make_step(count=40, dtype=torch.float64))
    assert not any(tensor.requires_grad for tensor in (*fakes, *chosen))
    assert real.cameras.sees(*chosen).all()
    torch.testing.assert_close(chosen.poses_camera[seen], fakes.poses_camera[seen])


def test_feedback_leaves_the_lifter_alone(
    make: Callable[..., PoseAug], make_real: MakeReal, make_step: MakeStep
) -> None:
    lifter = VideoPose("h36m_16", filter_widths=(1,), channels=4).double().train()
    lifter.expand_norm.eval()  # as where statistics are frozen
    before, modes = copy.deepcopy(lifter.state_dict()), [part.training for part in lifter.modules()]
    make().augment(make_real(dtype=torch.float64), make_step(epoch=5, dtype=torch.float64, lifter=lifter))
    assert [part.training for part in lifter.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in lifter.state_dict().items())
    assert all(parameter.grad is None for parameter in lifter.parameters())


def test_the_learning_rate_goes_down_along_a_line(
    make: Callable[..., PoseAug], make_real: MakeReal, make_step: MakeStep
) -> None:
    augmenter = make(learning_rate=0.11, feedback_from=99)
    optimizers = [augmenter.make_optimizer(network) for network in augmenter.networks()]
    assert {optimizer.param_groups[0]["lr"] for optimizer in optimizers} == {0.11}
    assert all(optimizer.defaults["betas"] == (0.9, 0.999) for optimizer in optimizers)
    for epoch in (0, 4, 10):
        augmenter.augment(make_real(dtype=torch.float64), make_step(epoch=epoch, dtype=torch.float64))
        for optimizer in optimizers:
            assert optimizer.param_groups[0]["lr"] == pytest.approx(0.11 * (11 - epoch) / 11)


def test_a_checkpoint_goes_on_where_it_was(
    make: Callable[..., PoseAug], make_real: MakeReal, make_step: MakeStep
) -> None:
    whole, real = make(), make_real(dtype=torch.float64)
    for iteration in range(3):  # the pool is full after the second batch
        whole.augment(real, make_step(iteration, dtype=torch.float64))
    resumed = make()
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for iteration in (3, 4):
        fakes = [one.augment(real, make_step(iteration, dtype=torch.float64)) for one in (whole, resumed)]
        assert torch.equal(*(fake.poses_camera for fake in fakes))
    assert all(torch.equal(tensor, resumed.state_dict()[name]) for name, tensor in whole.state_dict().items())


def test_the_pool_is_one_for_all_processes(
    make: Callable[..., PoseAug], make_step: MakeStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads stand for two processes: each has a share of the batch, and both have the same pool after it."""
    barrier, sums = threading.Barrier(2), {}

    def all_reduce(tensor: Tensor) -> None:
        sums[threading.get_ident()] = tensor.clone()
        barrier.wait()
        total = sum(sums.values())
        barrier.wait()
        tensor.copy_(total)

    monkeypatch.setattr(module.distributed, "all_reduce", all_reduce)
    made = [torch.rand(8, 16, 3, dtype=torch.float64) for _ in range(3)]

    def train(augmenter: PoseAug, start: int, stop: int) -> None:
        for number, batch in enumerate(made):
            draws = Draws(3, BatchPlace(0, number, start, stop, 8), dtype=torch.float64)
            step = make_step(number)
            share = batch[start:stop]
            augmenter._train_critic(
                "3d", augmenter.critic_3d, augmenter.pool_3d, share, share, Step(**(vars(step) | {"draws": draws}))
            )

    one, parts = make(), [make(), make()]
    train(one, 0, 8)
    shares = [
        threading.Thread(target=train, args=(part, *place)) for part, place in zip(parts, ((0, 3), (3, 8)), strict=True)
    ]
    for thread in shares:
        thread.start()
    for thread in shares:
        thread.join()
    assert one.pool_3d.count == 12
    for part in parts:
        assert part.pool_3d.count == 12
        assert torch.equal(part.pool_3d.items[:12], one.pool_3d.items[:12])


@pytest.mark.parametrize(
    ("lifter", "message"),
    [
        (VideoPose("h36m_16", filter_widths=(3,), channels=4), "model.lifter: expected a lifter of single frames"),
        (VideoPose("h36m_17", filter_widths=(1,), channels=4), "expected h36m_16 for PoseAug, found h36m_17"),
    ],
)
def test_lifters_that_it_cannot_serve(lifter: VideoPose, message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        PoseAug().check(lifter)


def test_wrong_options() -> None:
    for option in ("generator_width", "critic_2d_width", "critic_every", "pool_size"):
        with pytest.raises(LiftposeError, match=f"model.augmenter.{option}: expected a number from 1 up, found 0"):
            PoseAug(**{option: 0})
    with pytest.raises(LiftposeError, match=r"model.augmenter.weight_3d: expected a number from 0 up, found nan"):
        PoseAug(weight_3d=float("nan"))
    with pytest.raises(LiftposeError, match=r"learning_rate: expected a number above 0, found 0.0"):
        PoseAug(learning_rate=0.0)
