"""What is measured: the same work twice, by this package and by the public implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from peer import Peer
from torch import Tensor

from liftpose.data import Sides, Windows, epoch_order
from liftpose.losses import mpjpe_loss
from liftpose.metrics import MPJPE, functional
from liftpose.models import RIE
from liftpose.skeletons import H36M_17, mirror

__all__ = ["PUBLISHED", "Size", "Work", "epoch", "evaluation", "gather", "metric", "training_step"]

Run = Callable[[], Any]


class Size(NamedTuple):
    """How large everything is.

    Args:
        channels: Channels of the local encoders.
        latent_dim: Width of every encoded feature.
        sequences: Number of sequences.
        length: Frames of each.
    """

    channels: int
    latent_dim: int
    sequences: int
    length: int


PUBLISHED = Size(channels=256, latent_dim=256, sequences=12, length=1500)


class Work(NamedTuple):
    """One piece of work, done by both.

    Args:
        ours: Does it once with this package.
        theirs: Does it once with the public implementation, or None where there is no copy of it.
        moved: Bytes that have to be written, for work that is all memory; else 0.
        count: What one run handles, in ``unit``.
        unit: Windows, poses or frames.
    """

    ours: Run
    theirs: Run | None
    moved: int
    count: int
    unit: str


def _widths(frames: int) -> tuple[int, ...]:
    widths = ()
    while 3 ** len(widths) < frames:
        widths += (3,)
    return widths


def _sequences(size: Size, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Keypoints (N, 17, 2) and poses (N, 17, 3), of nothing in particular."""
    random = np.random.default_rng(seed)
    shape = (size.length, 17)
    keypoints = [random.uniform(-1, 1, (*shape, 2)).astype(np.float32) for _ in range(size.sequences)]
    poses = [random.normal(0, 0.3, (*shape, 3)).astype(np.float32) for _ in range(size.sequences)]
    return keypoints, poses


def _sides() -> dict[str, list[int]]:
    left, right = list(H36M_17.left), list(H36M_17.right)
    return {"kps_left": left, "kps_right": right, "joints_left": left, "joints_right": right}


def _our_windows(size: Size, frames: int, seed: int = 0) -> Windows:
    keypoints, poses = _sequences(size, seed)
    sides = Sides(H36M_17.left, H36M_17.right)
    return Windows(keypoints, poses, pad=frames // 2, keypoint_sides=sides, flip_copies=True)


def _their_batches(peer: Peer, size: Size, frames: int, batch: int, shuffle: bool, seed: int = 0) -> Any:
    keypoints, poses = _sequences(size, seed)
    return peer.generators.ChunkedGenerator(
        batch, None, poses, keypoints, 1, pad=frames // 2, shuffle=shuffle, augment=True, **_sides()
    )


def _as_they_load(poses: np.ndarray, keypoints: np.ndarray) -> tuple[Tensor, Tensor]:
    """Float32 tensors of a batch that its generator yields in float64, the root at 0, as its training has them."""
    inputs, targets = (torch.from_numpy(array.astype("float32")) for array in (keypoints, poses))
    targets[:, :, 0] = 0
    return inputs, targets


def gather(peer: Peer | None, size: Size, frames: int, batch: int) -> Work:
    """One batch of shuffled windows with mirrored copies, in float32."""
    windows = _our_windows(size, frames)
    order = epoch_order(len(windows), 1234, 0)
    batches: Iterator[Tensor] = iter(())

    def ours() -> Any:
        nonlocal batches
        indices = next(batches, None)
        if indices is None or len(indices) < batch:
            batches = iter(order.split(batch))
            indices = next(batches)
        return windows.gather(indices)

    theirs = None
    if peer is not None:
        generator = _their_batches(peer, size, frames, batch, shuffle=True)
        iterator: Iterator[Any] = iter(())

        def theirs() -> Any:
            nonlocal iterator
            found = next(iterator, None)
            if found is None or len(found[2]) < batch:
                iterator = generator.next_epoch()
                found = next(iterator)
            return _as_they_load(*found[1:])

    return Work(ours, theirs, moved=4 * batch * 17 * (2 * frames + 3), count=batch, unit="windows")


def _our_model(size: Size, frames: int, stage: int) -> RIE:
    torch.manual_seed(0)
    return RIE(filter_widths=_widths(frames), channels=size.channels, latent_dim=size.latent_dim, stage=stage)


def _their_model(peer: Peer, size: Size, frames: int, stage: int) -> torch.nn.Module:
    torch.manual_seed(0)
    model: torch.nn.Module = peer.model.RIEModel(
        17, 2, 17, list(_widths(frames)), channels=size.channels, latten_features=size.latent_dim, stage=stage
    )
    return model


def _our_step(model: RIE) -> Callable[[Tensor, Tensor], Tensor]:
    # As `LiftingTask.configure_optimizers`.
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, amsgrad=True, fused=True)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = mpjpe_loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _their_step(peer: Peer, model: torch.nn.Module) -> Callable[[Tensor, Tensor], float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, amsgrad=True)

    def step(inputs: Tensor, targets: Tensor) -> float:
        optimizer.zero_grad()
        loss = peer.loss.mpjpe(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def _batch(frames: int, batch: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(batch, frames, 17, 2, generator=generator) * 2 - 1
    return inputs, 0.3 * torch.randn(batch, 1, 17, 3, generator=generator)


def training_step(peer: Peer | None, size: Size, frames: int, stage: int, batch: int) -> Work:
    """Forward, backward and AdamW with AMSGrad, on a batch that is there."""
    inputs, targets = _batch(frames, batch)
    our_step = _our_step(_our_model(size, frames, stage).train())
    theirs = None
    if peer is not None:
        their_step = _their_step(peer, _their_model(peer, size, frames, stage).train())

        def theirs() -> Any:
            return their_step(inputs, targets)

    return Work(lambda: our_step(inputs, targets), theirs, moved=0, count=batch, unit="windows")


def evaluation(peer: Peer | None, size: Size, frames: int, batch: int) -> Work:
    """Prediction of stage 3 averaged with that of the mirrored windows, on a batch that is there."""
    inputs, _ = _batch(frames, batch)
    our_model = _our_model(size, frames, 3).eval()

    @torch.no_grad()
    def ours() -> Any:
        both = our_model(torch.cat((inputs, mirror(inputs, H36M_17))))
        straight, mirrored = both.chunk(2)
        return (straight + mirror(mirrored, H36M_17)) / 2

    theirs = None
    if peer is not None:
        their_model = _their_model(peer, size, frames, 3).eval()
        flipped = mirror(inputs, H36M_17)  # its generator yields it, so that is not counted here
        one, other = [*H36M_17.left, *H36M_17.right], [*H36M_17.right, *H36M_17.left]

        @torch.no_grad()
        def theirs() -> Any:
            straight, mirrored = their_model(inputs), their_model(flipped)
            mirrored[..., 0] *= -1
            mirrored[:, :, one] = mirrored[:, :, other]
            return torch.cat((straight, mirrored), dim=1).mean(dim=1, keepdim=True)

    return Work(ours, theirs, moved=0, count=batch, unit="windows")


def metric(peer: Peer | None, name: str, poses: int) -> Work:
    """The mean of a metric over a batch of poses in float32, each in the library that its author chose for it."""
    generator = torch.Generator().manual_seed(2)
    target = 0.3 * torch.randn(poses, 17, 3, generator=generator)
    prediction = target + 0.05 * torch.randn(poses, 17, 3, generator=generator)
    function = getattr(functional, name)
    theirs = None
    if peer is not None:
        public = getattr(peer.loss, {"mpjve": "mean_velocity_error"}.get(name, name))
        pair: tuple[Any, Any] = (prediction, target)
        if name in {"p_mpjpe", "mpjve"}:
            pair = (prediction.numpy(), target.numpy())
        elif name == "n_mpjpe":
            pair = (prediction[:, None], target[:, None])

        def theirs() -> Any:
            return public(*pair)

    return Work(lambda: function(prediction, target), theirs, moved=0, count=poses, unit="poses")


def epoch(peer: Peer | None, size: Size, frames: int, batch: int) -> Work:
    """An epoch of stage 3 as published: train, evaluate the test windows, evaluate the training windows.

    All with their mirrored copies as further samples, from the frames in memory to the three mean errors.
    """
    test_size = size._replace(length=max(1, size.length // 3))
    train, test = _our_windows(size, frames), _our_windows(test_size, frames, seed=1)
    our_model = _our_model(size, frames, 3)
    our_step = _our_step(our_model)
    errors = [MPJPE() for _ in range(3)]

    def our_evaluation(windows: Windows, error: MPJPE) -> None:
        with torch.no_grad():
            for indices in torch.arange(len(windows)).split(batch):
                found = windows.gather(indices)
                error.update(our_model(found.keypoints_2d), found.poses_3d)

    def ours() -> Any:
        our_model.train()
        for indices in epoch_order(len(train), 1234, 0).split(batch):
            found = train.gather(indices)
            our_step(found.keypoints_2d, found.poses_3d)
        our_model.eval()
        our_evaluation(test, errors[1])
        our_evaluation(train, errors[2])

    theirs = None
    if peer is not None:
        their_model = _their_model(peer, size, frames, 3)
        evaluated = _their_model(peer, size, frames, 3).eval()
        their_step = _their_step(peer, their_model)
        shuffled = _their_batches(peer, size, frames, batch, shuffle=True)
        in_order = [
            _their_batches(peer, test_size, frames, batch, shuffle=False, seed=1),
            _their_batches(peer, size, frames, batch, shuffle=False),
        ]

        def theirs() -> Any:
            their_model.train()
            for _, poses, keypoints in shuffled.next_epoch():
                their_step(*_as_they_load(poses, keypoints))
            evaluated.load_state_dict(their_model.state_dict())
            with torch.no_grad():
                for generator in in_order:
                    for _, poses, keypoints in generator.next_epoch():
                        inputs, targets = _as_they_load(poses, keypoints)
                        peer.loss.mpjpe(evaluated(inputs), targets).item()

    return Work(ours, theirs, moved=0, count=4 * size.sequences * size.length, unit="windows")
