"""The verb ``weights``: files of the papers' public code made into checkpoints of liftpose."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from liftpose.cli.configs import config_folder, installed_configs
from liftpose.cli.parsing import OneLineParser
from liftpose.errors import LiftposeError

if TYPE_CHECKING:
    from liftpose.weights import PublishedNetwork

__all__ = ["run"]

ACTIONS = ("import",)
SYSTEMS = {
    "rie": "RIE",
    "videopose": "VideoPose3D",
    "simple_baseline": "SimpleBaseline",
    "semgcn": "SemGCN",
    "stgcn": "ST-GCN",
    "poseformer": "PoseFormer",
    "integral": "IntegralPose",
    "heatmap": "HeatmapPose",
    "refiner": "Refiner",
}
NOT_TOLD = ("skeleton", "keypoint_skeleton", "causal", "stage", "heads", "image_size", "negative_slope")
"""Options of the networks that the shapes of the weights may leave open."""


def run(words: Sequence[str]) -> int:
    """Run ``liftpose weights import …``.

    Args:
        words: The words of the command, ``weights`` first.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The user's file or options are wrong.
    """
    action = words[1] if len(words) > 1 else ""
    if action not in ACTIONS and action not in {"-h", "--help"}:
        raise LiftposeError(f"liftpose weights: expected {' or '.join(ACTIONS)}, found {action or 'nothing'}")
    parser = _parser()
    if {"-h", "--help"} & set(words[1:]):
        parser.print_help()
        return 0
    options = parser.parse_args(list(words[2:])).as_dict()
    system, file = _system_and_file(options["file"])
    if options["out"] is None:
        raise LiftposeError("--out: expected the name of the checkpoint to write, found none")
    sys.stdout.write("\n".join(_import(system, file, options)) + "\n")
    return 0


def _parser() -> OneLineParser:
    parser = OneLineParser("liftpose weights import", "Make a checkpoint of liftpose from a file of a public code.")
    parser.usage = f"liftpose weights import [{'|'.join(SYSTEMS)}] FILE --out NAME.ckpt [options]"
    parser.add_argument("file", nargs="+", help="What network it is (told from the file without), and the file.")
    parser.add_argument("--out", type=str, help="The checkpoint to write.")
    parser.add_argument("--overwrite", action="store_true", help="Replace the checkpoint if it is there.")
    parser.add_argument("--skeleton", type=str, help="Joint order of the poses, such as humaneva_15.")
    parser.add_argument("--keypoint_skeleton", type=str, help="Joint order of the keypoints, such as coco_17.")
    parser.add_argument("--causal", type=bool, help="Whether the windows end with the frame whose pose is wanted.")
    parser.add_argument(
        "--stage", type=int, help="RIE: 2 where the weights are of stage 2, which look like those of 3."
    )
    parser.add_argument("--heads", type=int, help="PoseFormer: number of heads of its attention, 8 in the paper.")
    parser.add_argument("--image_size", type=list[int], help="IntegralPose and HeatmapPose: width and height, pixels.")
    parser.add_argument("--negative_slope", type=float, help="Refiner: slope of a leaky ReLU.")
    return parser


def _system_and_file(words: Sequence[str]) -> tuple[str | None, Path]:
    """Return the name of the system, where it is given, and the file."""
    if len(words) == 1:
        return None, Path(words[0])
    if len(words) > 2 or words[0] not in SYSTEMS:
        raise LiftposeError(
            f"liftpose weights import: expected {_one_of(SYSTEMS)} and one file, found {' '.join(words)}"
        )
    return SYSTEMS[words[0]], Path(words[1])


def _import(system: str | None, file: Path, options: Mapping[str, Any]) -> list[str]:
    """Write the checkpoint and return what there is to say."""
    from liftpose.models import Lifter
    from liftpose.skeletons import get_skeleton
    from liftpose.weights import published_network, read_checkpoint, write_lifter_checkpoint, write_network_checkpoint

    out = Path(options["out"])
    if out.exists() and file.exists() and out.samefile(file):
        raise LiftposeError(f"--out {out}: expected another file than the one that is read, found the same")
    if out.is_file() and not options["overwrite"]:
        raise LiftposeError(f"--out {out}: expected no such file, found one (--overwrite replaces it)")
    published = published_network(read_checkpoint(file), str(file), file)
    wanted = _one_of(SYSTEMS.values()) if system is None else system
    if published is None or (system is not None and published.system != system):
        found = "a file of another kind" if published is None else f"those of {published.system}"
        raise LiftposeError(f"{file}: expected weights of {wanted} as its public code writes them, found {found}")
    given = {name: options[name] for name in NOT_TOLD if options[name] is not None}
    known = inspect.signature(published.kind).parameters
    for name, value in given.items():
        if name not in known:
            raise LiftposeError(f"--{name}: expected no such option for {published.system}, found {value}")
        if name.endswith("skeleton"):
            get_skeleton(value)  # refuses an unknown name
    network = published.build(str(file), **given)
    complete = published.complete(given)
    told = ", ".join(f"{name} {_written(value)}" for name, value in complete.items())
    size = f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters"
    if isinstance(network, Lifter):
        size = f"{size}, {network.receptive_field} frames"
        write_lifter_checkpoint(out, network, complete, source=published.system)
    else:
        write_network_checkpoint(out, network, complete, source=published.system)
    lines = [f"{file}: {published.system}, {size}: {told}"]
    if published.left_out:
        lines.append(f"left out: {', '.join(published.left_out)}")
    lines += [
        f"wrote {out}: weights without the state of a training, so fit takes it as --model.init_from",
        f"  liftpose test {_matching_options(published, complete)} --ckpt_path {out}",
    ]
    return lines


def _matching_options(published: PublishedNetwork, options: Mapping[str, Any]) -> str:
    """Return the shipped configuration that is nearest to a network, with the options that it needs."""
    from liftpose.skeletons import H36M_32, adapter_targets

    own = f"liftpose.models.{published.kind.__name__}"
    parameters = inspect.signature(published.kind).parameters
    best: tuple[str, list[str]] | None = None
    for name in installed_configs():
        content = yaml.safe_load((config_folder() / name).read_text(encoding="utf-8"))
        model, data = content.get("model", {}), content.get("data", {})
        network = model.get("init_args", {}).get(published.argument, {})
        plain_task = published.argument != "lifter" or model.get("class_path") == "liftpose.tasks.LiftingTask"
        if network.get("class_path") != own or not plain_task:
            continue
        had = network.get("init_args", {})
        differing = [
            f"--model.{published.argument}.{key} {_written(value)}"
            for key, value in options.items()
            if _written(had.get(key, parameters[key].default)) != _written(value)
        ]
        of_data, wanted = data.get("init_args", {}).get("joints", "h36m_17"), options["skeleton"]
        if data.get("class_path") == "liftpose.datamodules.H36MDataModule" and of_data != wanted:
            differing += [f"--data.joints {wanted}"] if wanted in adapter_targets(H36M_32) else []
        if best is None or len(differing) < len(best[1]):
            best = name, differing
    return "--config NAME.yaml" if best is None else " ".join(("--config", best[0], *best[1]))


def _one_of(names: Iterable[str]) -> str:
    """List names for a message."""
    *first, last = names
    return f"{', '.join(first)} or {last}"


def _written(value: Any) -> str:
    """Write a value as on the command line."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(str, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
