"""The verb ``lift``: pictures in, 3D poses and a page to look at out."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from liftpose.cli.parsing import OneLineParser
from liftpose.errors import LiftposeError

if TYPE_CHECKING:
    from liftpose.inference.pictures import Lens, LoadedPictureNetwork, PictureBox

__all__ = ["run"]

POSES: Final = ".npz"
PAGE: Final = ".html"
_BEGINS_OUTSIDE: Final = re.compile(r"-[\d.]+,")


def run(words: Sequence[str]) -> int:
    """Run ``liftpose lift …``.

    Args:
        words: The words of the command, ``lift`` first.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The user's files or options are wrong.
    """
    parser = _parser()
    if {"-h", "--help"} & set(words[1:]):
        parser.print_help()
        return 0
    # argparse takes a word like -5,10,40,80 for an option unless it has a space in it.
    spaced = [f" {word}" if _BEGINS_OUTSIDE.match(word) else word for word in words[1:]]
    options = parser.parse_args(spaced).as_dict()
    outputs = _outputs(options)
    boxes = _numbers(options)
    lens = _lens(options)
    from liftpose.cli.progress import progress_bar
    from liftpose.formats.picture_predictions import write_picture_predictions
    from liftpose.inference.pictures import predict_pictures

    people = _people(options["pictures"], boxes)
    loaded = _network(options)
    with progress_bar() as show:
        predictions = predict_pictures(
            loaded,
            people,
            lens=lens,
            extent=options["box_metres"],
            batch_size=options["batch_size"],
            progress=lambda number, count: show(number, count, "lift") if count > 1 else None,
        )
    lines = [f"{loaded.name}: {len(people)} pose{'s' if len(people) > 1 else ''} of {predictions.skeleton.name}"]
    lines.append(f"lengths: {predictions.scale}")
    for path in outputs:
        if path.suffix.lower() == POSES:
            write_picture_predictions(path, predictions)
        else:
            _write_page(path, predictions)
        lines.append(f"wrote {path}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _parser() -> OneLineParser:
    parser = OneLineParser("liftpose lift", "3D poses of people in pictures.")
    parser.usage = "liftpose lift PICTURE [PICTURE ...] --box X,Y,W,H [...] --ckpt_path FILE [--out FILE ...] [options]"
    add: Callable[..., Any] = parser.add_argument
    add("pictures", type=str, nargs="+", help="Pictures (JPEG, PNG, …).")
    add(
        "--box",
        type=str,
        nargs="+",
        action="extend",
        help="Left, top, width and height in pixels of the box around a person, or all for the whole picture; one for "
        "each picture, or several people in one picture.",
    )
    add("--ckpt_path", type=str, help="Checkpoint of a network that sees poses in pictures.")
    add("--out", type=str, nargs="+", action="extend", help="Files to write: .npz for the poses, .html for a page.")
    add("--focal", type=float, help="Focal length of the camera in pixels.")
    add("--principal_point", type=str, help="X,Y of the principal point in pixels; the middle by default.")
    add("--box_metres", type=float, default=2.0, help="Metres that the longer side of a box stands for.")
    add("--device", type=str, default="auto", help="cpu, cuda, or auto.")
    add("--batch_size", type=int, default=32, help="Number of people that are predicted at once.")
    return parser


# ------------------------------------------------------------------------------------------------------------- options
def _outputs(options: dict[str, Any]) -> list[Path]:
    """Return the files to write, and refuse options that cannot work, before anything is read."""
    if options["ckpt_path"] is None:
        raise LiftposeError("--ckpt_path: expected the checkpoint of a network that sees poses in pictures, found none")
    if options["batch_size"] < 1:
        raise LiftposeError(f"--batch_size: expected a whole number from 1 up, found {options['batch_size']}")
    for name in ("focal", "box_metres"):
        value = options[name]
        if value is not None and not (math.isfinite(value) and value > 0):
            raise LiftposeError(f"--{name}: expected a number above 0, found {value}")
    stem = Path(options["pictures"][0]).stem
    names = options["out"] or [f"{stem}_pose{POSES}", f"{stem}_pose{PAGE}"]
    outputs = [Path(name) for name in names]
    for path in outputs:
        if path.suffix.lower() not in {POSES, PAGE}:
            raise LiftposeError(f"--out {path}: expected a name that ends in {POSES} or {PAGE}")
        if not path.absolute().parent.is_dir():
            raise LiftposeError(f"--out {path}: expected a folder to write to, found none at {path.absolute().parent}")
    return outputs


def _numbers(options: dict[str, Any]) -> list[tuple[float, float, float, float] | None]:
    """Return the boxes; None stands for the whole picture."""
    if not options["box"]:
        raise LiftposeError("--box: expected X,Y,WIDTH,HEIGHT in pixels around the person (or all), found none")
    boxes: list[tuple[float, float, float, float] | None] = []
    for text in map(str.strip, options["box"]):
        if text == "all":
            boxes.append(None)
            continue
        left, top, width, height = _split(text, 4, "--box", "X,Y,WIDTH,HEIGHT in pixels, or all")
        boxes.append((left, top, width, height))
    pictures = len(options["pictures"])
    if pictures > 1 and len(boxes) != pictures:
        raise LiftposeError(f"--box: expected one for each of the {pictures} pictures, found {len(boxes)}")
    return boxes


def _split(text: str, count: int, option: str, expected: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise LiftposeError(f"{option}: expected {expected}, found {text}")
    return numbers


def _lens(options: dict[str, Any]) -> Lens | None:
    """Return the camera, where the user knows it."""
    from liftpose.inference.pictures import Lens

    if options["focal"] is None:
        if options["principal_point"] is not None:
            raise LiftposeError("--principal_point: expected it with --focal, found it alone")
        return None
    if options["principal_point"] is None:
        return Lens(options["focal"])
    x, y = _split(options["principal_point"].strip(), 2, "--principal_point", "X,Y in pixels")
    return Lens(options["focal"], (x, y))


def _people(pictures: Sequence[str], boxes: Sequence[tuple[float, float, float, float] | None]) -> list[PictureBox]:
    """Put pictures and boxes together."""
    from liftpose.inference.pictures import PictureBox, picture_size

    files = list(pictures) if len(pictures) > 1 else list(pictures) * len(boxes)
    return [
        PictureBox(file, *(box if box is not None else (0, 0, *picture_size(file))))
        for file, box in zip(files, boxes, strict=True)
    ]


def _network(options: dict[str, Any]) -> LoadedPictureNetwork:
    import torch

    from liftpose.inference.pictures import load_picture_network

    name = options["device"]
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = load_picture_network(options["ckpt_path"])
    try:
        return loaded.to(name)
    except (RuntimeError, AssertionError) as error:  # what torch says about devices
        raise LiftposeError(f"--device: expected a device that is there, found {name}") from error


def _write_page(path: Path, predictions: Any) -> None:
    from liftpose.formats.images import read_picture
    from liftpose.viewer.page import write_page
    from liftpose.viewer.pictures import picture_scene

    @lru_cache(maxsize=1)
    def seen(file: str) -> Any:
        return read_picture(file, upright=True)

    scene = picture_scene(predictions, map(seen, predictions.files))
    write_page(path, scene, model=predictions.model, note=predictions.scale)
