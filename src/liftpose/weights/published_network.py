"""A network in a file of a paper's public code: its weights, and which options they tell."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from liftpose.errors import LiftposeError
from liftpose.models.rie_state import require_same_shapes
from liftpose.skeletons import Skeleton

__all__ = ["Misfit", "PublishedNetwork", "plain"]

Fitting = Callable[[Mapping[str, Any]], dict[str, tuple[Any, ...]]]


class Misfit(NamedTuple):
    """An option that the weights contradict.

    Args:
        option: Name of the constructor's option.
        value: What was asked for.
        fitting: The value that fits best.
    """

    option: str
    value: Any
    fitting: Any


@dataclass(frozen=True, eq=False)
class PublishedNetwork:
    """A network in a file of a paper's public code.

    Attributes:
        system: Name of the network, such as "RIE" or "VideoPose3D".
        kind: The class of the network.
        state_dict: The weights under our names.
        options: Options of the class that the shapes tell, and the likeliest for what they leave open (skeletons, and
            that the network is not causal).
        left_out: Names of what else is in the file.
        argument: What the network is called in a task: the name of the task's option, and of its weights.
    """

    argument: ClassVar[str] = "network"

    system: str
    kind: type[nn.Module]
    state_dict: Mapping[str, Tensor]
    options: Mapping[str, Any]
    left_out: tuple[str, ...]
    _fitting: Fitting

    def misfits(self, options: Mapping[str, Any]) -> Iterator[Misfit]:
        """Yield the options that the weights contradict.

        Args:
            options: Options of the class; the defaults stand for those that are missing.

        Yields:
            One entry for each, with the value that fits best.
        """
        for name, values in self._fitting(options).items():
            value = plain(options.get(name, _default(self.kind, name)))
            if value not in values:
                yield Misfit(name, value, values[0])

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Complete options by those that the weights tell.

        Args:
            given: Options that are to hold.

        Returns:
            Options of the class. They may still contradict the weights in what is given (see :meth:`misfits`).
        """
        options = {**self.options, **given}
        for misfit in list(self.misfits(options)):
            if misfit.option not in given:  # what is given may make another guess the likeliest
                options[misfit.option] = misfit.fitting
        return options

    def build(self, where: str, **given: Any) -> nn.Module:
        """Build the network with its weights, ready for evaluation.

        Args:
            where: What holds the weights, the start of an error message.
            given: Options that the weights do not tell, or that they are to agree with.

        Returns:
            The network in evaluation mode, float32, on the CPU.

        Raises:
            LiftposeError: An option is wrong or contradicts the weights; the message names it with both values.
        """
        options = self.complete(given)
        differing = [
            f"{name}: expected {_spell(value)}, found {_spell(fitting)}"
            for name, value, fitting in self.misfits(options)
        ]
        if differing:
            raise LiftposeError(f"{where}: {'; '.join(differing)}")
        try:
            with torch.device("meta"):  # without memory, which is taken only for sizes that fit
                shapes = self.kind(**options).state_dict()
        except LiftposeError as error:
            raise LiftposeError(f"{where}: {error}") from error
        require_same_shapes(shapes, self.state_dict, where)
        with torch.random.fork_rng(devices=[]):  # the initial weights are thrown away: no random numbers for them
            network = self.kind(**options)
        network.load_state_dict(self.state_dict)
        return network.eval()


def _default(kind: type[nn.Module], option: str) -> Any:
    """Return the default of an option of a network."""
    return inspect.signature(kind).parameters[option].default


def plain(value: Any) -> Any:
    """Return an option as the weights tell it: tuples for lists, the names of skeletons.

    Args:
        value: The option.
    """
    if isinstance(value, Skeleton):
        return value.name
    return tuple(value) if isinstance(value, list) else value


def _spell(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
