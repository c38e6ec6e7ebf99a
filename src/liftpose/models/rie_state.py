"""What the weights of a RIE model tell about it, and how two sets of weights differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from liftpose.errors import LiftposeError
from liftpose.skeletons import PARTS

__all__ = ["describe_state_dict", "differences", "require_same_shapes"]


def describe_state_dict(state_dict: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tell from the shapes of its weights how a RIE model was built.

    Args:
        state_dict: The ``state_dict()`` of a RIE model.

    Returns:
        ``stages``: (1,), or (2, 3), which share one network; ``filter_widths``, ``channels``, ``latent_dim`` and
        ``hidden_dim`` as in the constructor; ``joints``: number of joints of each body part, by name.

    Raises:
        LiftposeError: Keys are missing: these are not the weights of a RIE model.
    """
    try:
        expand = [state_dict[f"local_encoder.expand.weights.{part}"] for part in PARTS]
        widths = [expand[0].shape[0]]
        while (key := f"local_encoder.blocks.{len(widths) - 1}.conv.weight") in state_dict:
            widths.append(state_dict[key].shape[1])
        return {
            "stages": (2, 3) if any(key.startswith("fusion.") for key in state_dict) else (1,),
            "filter_widths": tuple(widths),
            "channels": expand[0].shape[2],
            "latent_dim": state_dict["local_encoder.shrink.weight"].shape[2],
            "hidden_dim": state_dict["decoder.input.weight"].shape[2],
            "joints": {part: weight.shape[1] // 6 for part, weight in zip(PARTS, expand, strict=True)},
        }
    except (KeyError, IndexError) as error:
        some = next(iter(state_dict), "no key")
        missing = error.args[0] if isinstance(error, KeyError) else "of another shape"
        raise LiftposeError(f"weights of a RIE model: expected the key {missing}, found {some}") from error


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Say in one line which entries of two descriptions differ.

    Args:
        expected: The description wanted.
        found: The description there is, with the same keys.

    Returns:
        One clause for each entry that differs, empty if none does.

    Example:
        >>> differences({"channels": 256, "latent_dim": 256}, {"channels": 256, "latent_dim": 512})
        'latent_dim: expected 256, found 512'
    """
    return "; ".join(
        f"{key}: expected {_spell(value)}, found {_spell(found[key])}"
        for key, value in expected.items()
        if found[key] != value
    )


def require_same_shapes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], where: str) -> None:
    """Check that two sets of weights have the same keys and shapes.

    Args:
        expected: The weights of a model.
        found: The weights it is to take.
        where: What ``found`` is, the start of the message.

    Raises:
        LiftposeError: They differ. The message names the first key that does.
    """
    for key, tensor in expected.items():
        if key not in found:
            raise LiftposeError(f"{where}: expected the key {key}, found none")
        if found[key].shape != tensor.shape:
            raise LiftposeError(
                f"{where}: expected {key} of shape {tuple(tensor.shape)}, found {tuple(found[key].shape)}"
            )
    for key in found:
        if key not in expected:
            raise LiftposeError(f"{where}: expected no key {key}, found it")


def _spell(value: Any) -> str:
    """Write a value of a description for the user."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
