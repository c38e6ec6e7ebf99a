"""A lifter in a file of a paper's public code, and the skeletons that weights may be for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from liftpose.errors import LiftposeError
from liftpose.models import Lifter
from liftpose.skeletons import SKELETONS, Skeleton
from liftpose.weights.published_network import Misfit, PublishedNetwork, plain

__all__ = ["Misfit", "PublishedLifter", "plain", "skeletons_of", "skeletons_of_size"]


@dataclass(frozen=True, eq=False)
class PublishedLifter(PublishedNetwork):
    """A lifter in a file of a paper's public code; see :class:`PublishedNetwork` for its attributes."""

    argument: ClassVar[str] = "lifter"

    kind: type[Lifter]

    def build(self, where: str, **given: Any) -> Lifter:
        """Build the lifter with its weights, ready for evaluation.

        Args:
            where: What holds the weights, the start of an error message.
            given: Options that the weights do not tell, or that they are to agree with.

        Returns:
            The lifter in evaluation mode, float32, on the CPU.

        Raises:
            LiftposeError: An option is wrong or contradicts the weights; the message names it with both values.
        """
        return cast(Lifter, super().build(where, **given))


def skeletons_of_size(where: str, joints: int) -> tuple[str, ...]:
    """Return the names of the skeletons that have a number of joints.

    Args:
        where: What the weights are, the start of an error message.
        joints: Number of joints.

    Returns:
        The names, the likeliest first.

    Raises:
        LiftposeError: There is none.
    """
    return skeletons_of(where, lambda skeleton: len(skeleton) == joints, joints)


def skeletons_of(where: str, fits: Callable[[Skeleton], bool], joints: Any) -> tuple[str, ...]:
    """Return the names of the skeletons that weights are for.

    Args:
        where: What the weights are, the start of an error message.
        fits: Whether a skeleton is one.
        joints: What the message says about the joints.

    Returns:
        The names, the likeliest first.

    Raises:
        LiftposeError: There is none.
    """
    names = tuple(name for name, skeleton in SKELETONS.items() if fits(skeleton))
    if not names:
        raise LiftposeError(f"{where}: expected weights for the joints of a skeleton that is known, found {joints}")
    return names
