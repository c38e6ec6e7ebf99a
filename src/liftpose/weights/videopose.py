"""VideoPose3D's published weights, and those of its relatives, into our model.

The published network is one of one-dimensional convolutions; ours multiplies the rows of frames by matrices. The
conversion only reorders numbers, so it is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.models.videopose import describe_videopose
from liftpose.weights.torch_files import public_weights

__all__ = ["videopose_state_dict_from_public"]

_BATCHES = "num_batches_tracked"


def videopose_state_dict_from_public(state_dict: Mapping[str, Tensor], where: str = "weights") -> dict[str, Tensor]:
    """Convert published weights to the keys and layouts of :class:`~liftpose.models.VideoPose`.

    Args:
        state_dict: The published model's ``state_dict()``; keys may start with ``module.``. Counts of batches, which
            versions of torch before 0.4.1 did not write, may be missing.
        where: What the weights are, the start of an error message.

    Returns:
        A state dict for ``VideoPose.load_state_dict``; the tensors are copies.

    Raises:
        LiftposeError: A key is missing, unknown, or of another shape, or a weight is not finite.
    """
    given = public_weights(state_dict, where)
    blocks = sum(key.startswith("layers_conv.") for key in given) // 2
    own: dict[str, Tensor] = {}
    for public, name, convert in _rows(blocks):
        tensor = given.pop(public, None)
        if tensor is None and public.endswith(_BATCHES):
            tensor = torch.zeros((), dtype=torch.long)
        if not isinstance(tensor, Tensor):
            raise LiftposeError(f"{where}: expected the weights of VideoPose3D, found no tensor {public}")
        try:
            own[name] = convert(tensor).clone(memory_format=torch.contiguous_format)
        except (RuntimeError, IndexError) as error:
            raise LiftposeError(
                f"{where}: expected a weight of VideoPose3D, found {public} of shape {tuple(tensor.shape)}"
            ) from error
    if given:
        raise LiftposeError(f"{where}: expected the weights of VideoPose3D only, found {min(given)} too")
    describe_videopose(own, where)  # refuses layers that do not fit together
    return own


def _rows(blocks: int) -> Iterator[tuple[str, str, Callable[[Tensor], Tensor]]]:
    """Yield the published key, our key and the change of layout of every tensor."""
    norms = [("expand_bn", "expand_norm")]
    yield "expand_conv.weight", "expand.weight", _convolution
    for k in range(2 * blocks):
        layer = f"blocks.{k // 2}.{('conv', 'mix')[k % 2]}"
        yield f"layers_conv.{k}.weight", f"{layer}.weight", _convolution
        norms.append((f"layers_bn.{k}", f"{layer}_norm"))
    for public, name in norms:
        for part in ("weight", "bias", "running_mean", "running_var", _BATCHES):
            yield f"{public}.{part}", f"{name}.{part}", _with_branch
    yield "shrink.weight", "shrink.weight", lambda weight: weight.squeeze(2).t()[None]
    yield "shrink.bias", "shrink.bias", _with_branch


def _convolution(weight: Tensor) -> Tensor:
    """(out, in, width) -> (1, width, in, out)."""
    return weight.permute(2, 1, 0)[None]


def _with_branch(values: Tensor) -> Tensor:
    return values[None]
