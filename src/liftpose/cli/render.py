"""The verb ``render``: films and pages of one recording."""

from __future__ import annotations

import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from liftpose.cli.parsing import OneLineParser
from liftpose.errors import LiftposeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from liftpose.data import Recording
    from liftpose.viewer.film import Film
    from liftpose.viewer.scene import Scene

    Pixels = NDArray[np.uint8]

__all__ = ["run"]

FILMS: Final = (".mp4", ".gif")
PAGES: Final = (".html",)
LARGEST: Final = 4096
"""Pixels of a panel's side."""

OTHER_SHAPE: Final = 0.02
"""Share by which the sides of a video may differ from the shape of the camera's pictures."""

Show = Callable[[int, int, str], None]


class Source(NamedTuple):
    """What is shown: keypoints and truth, predicted poses, which axis points up, what has predicted the poses."""

    recording: Recording
    prediction: NDArray[np.float32] | None
    up_axis: str
    model: str


def run(words: Sequence[str]) -> int:
    """Run ``liftpose render …``.

    Args:
        words: The words of the command, ``render`` first.

    Returns:
        The exit code.

    Raises:
        LiftposeError: The user's files or options are wrong.
    """
    from liftpose.cli.progress import progress_bar

    parser = _parser()
    if {"-h", "--help"} & set(words[1:]):
        parser.print_help()
        return 0
    options = parser.parse_args(list(words[1:])).as_dict()
    outputs = _check_options(options)
    if options["dataset"] is None:
        options["dataset"] = _dataset_in(options["data"])
    lines: list[str] = []
    with progress_bar() as show:
        source = _find_source(options, show)
        lines += _export(options, source)
        for path in outputs:
            lines.append(_write(path, options, source, show))
    recording = source.recording
    if recording.poses_3d is None and options["data"] is not None and options["truth"] is not False:
        lines.insert(0, f"{recording.name}: no true poses are known, so none are shown")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _parser() -> OneLineParser:
    parser = OneLineParser("liftpose render", "Films and pages of one recording.")
    parser.usage = "liftpose render --data FOLDER --subject NAME --action NAME [--ckpt_path FILE] --out FILE [options]"
    add: Callable[..., Any] = parser.add_argument
    add("--data", type=str, help="Folder of the data set.")
    add("--dataset", type=str, help="Name of the data set in the file names; the only one there by default, or h36m.")
    add("--keypoints", type=str, default="gt", help="Name of the keypoints in the file name.")
    add("--subject", type=str, help="Name of the person.")
    add("--action", type=str, help="Name of the take, or a beginning that names exactly one.")
    add("--camera", type=int, help="Index of the camera; 0 by default.")
    add("--ckpt_path", type=str, help="Checkpoint of a lifter that predicts the poses.")
    add("--predictions", type=str, help="File of `liftpose predict`; takes the place of --ckpt_path.")
    add("--out", type=str, nargs="+", action="extend", help="Files to write: .mp4, .gif or .html.")
    add("--video", type=str, help="Video under the keypoints of a film, frame by frame that of the recording.")
    add("--video_start", type=int, default=0, help="Frames of the video before the first of the recording.")
    add("--skip", type=int, default=0, help="Frames to leave out at the beginning, of everything.")
    add("--limit", type=int, default=-1, help="Largest number of frames to show, after averaging; -1 for all.")
    add("--downsample", type=int, default=1, help="Average blocks of so many frames; the frame rate is divided.")
    add("--size", type=str, default="480x480", help="Pixels of each panel of a film: WIDTHxHEIGHT, or one number.")
    add("--bitrate", type=int, help="Kilobits per second of an MP4; constant quality by default.")
    add("--turn", type=float, default=0.0, help="Degrees by which films are seen from the camera's right.")
    add("--truth", type=bool, help="Whether the truth is shown; by default where it is known.")
    add("--export", type=str, help="File (.npz) to write the predicted poses to, as `liftpose predict` does.")
    add("--device", type=str, default="auto", help="Where poses are predicted: cpu, cuda, or auto.")
    add("--batch_size", type=int, default=1024, help="Number of windows that are predicted at once.")
    return parser


# ------------------------------------------------------------------------------------------------------------- options
def _check_options(options: dict[str, Any]) -> list[Path]:
    """Refuse options that do not fit together, before anything is read; return the files to write."""
    outputs = [Path(name) for name in options["out"] or []]
    if not outputs and options["export"] is None:
        raise LiftposeError(f"--out: expected a file to write ({_listed(FILMS + PAGES)}), found none")
    for path in outputs:
        if path.suffix.lower() not in FILMS + PAGES:
            raise LiftposeError(f"--out {path}: expected a name that ends in {_listed(FILMS + PAGES)}")
        _check_folder(path)
    if options["export"] is not None and Path(options["export"]).suffix != ".npz":
        raise LiftposeError(f"--export {options['export']}: expected a name that ends in .npz")
    _check_source(options)
    if options["video"] is not None and outputs and not any(path.suffix.lower() in FILMS for path in outputs):
        raise LiftposeError(
            f"--video: expected a film among --out ({_listed(FILMS)}), found pages only, which show no video"
        )
    for name, least in (("video_start", 0), ("batch_size", 1), ("bitrate", 1)):
        if options[name] is not None and options[name] < least:
            raise LiftposeError(f"--{name}: expected a whole number from {least} up, found {options[name]}")
    if not math.isfinite(options["turn"]):
        raise LiftposeError(f"--turn: expected degrees, found {options['turn']}")
    _panel_size(options["size"])
    return outputs


def _check_folder(path: Path) -> None:
    """Refuse a file whose folder is none or cannot be written to, before anything is drawn."""
    folder = next(place for place in path.absolute().parents if os.path.lexists(place))
    if not folder.is_dir():
        raise LiftposeError(f"--out {path}: expected a folder to write to, found the file {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LiftposeError(f"--out {path}: expected a folder to write to, found no permission to write to {folder}")


def _dataset_in(folder: str | None) -> str:
    """Return the name of the only data set in a folder, or that of Human3.6M."""
    names = [path.stem.removeprefix("data_3d_") for path in Path(folder or "").glob("data_3d_*.npz")]
    return names[0] if folder is not None and len(names) == 1 else "h36m"


def _check_source(options: dict[str, Any]) -> None:
    """Refuse to guess which recording is meant, and who predicts its poses."""
    if options["predictions"] is not None:
        given = [name for name in ("ckpt_path", "subject", "action", "camera") if options[name] is not None]
        if given:
            raise LiftposeError(f"--{given[0]}: expected it without --predictions, whose file says it, found both")
        return
    if options["data"] is None:
        raise LiftposeError("--data: expected the folder of a data set (or --predictions FILE), found none")
    missing = [name for name in ("subject", "action") if options[name] is None]
    if missing:
        raise LiftposeError(f"--{missing[0]}: expected the name of one in {options['data']}, found none")
    if options["ckpt_path"] is None and options["export"] is not None:
        raise LiftposeError("--export: expected a --ckpt_path that predicts poses, found none")


def _panel_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", text)
    width, height = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not (64 <= width <= LARGEST and 64 <= height <= LARGEST):
        raise LiftposeError(f"--size: expected WIDTHxHEIGHT from 64x64 to {LARGEST}x{LARGEST} pixels, found {text}")
    return width, height


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


# -------------------------------------------------------------------------------------------------------------- sources
def _find_source(options: dict[str, Any], show: Show) -> Source:
    """Read what is to be shown, and predict poses if there is a checkpoint."""
    source = _of_predictions(options) if options["predictions"] is not None else _of_take(options, show)
    if options["truth"] and source.recording.poses_3d is None:
        raise LiftposeError(
            f"--truth true: expected true poses of {source.recording.name}, found none"
            + ("" if options["data"] else " (--data FOLDER says where they are)")
        )
    if options["truth"] is False:
        source = source._replace(recording=replace(source.recording, poses_3d=None))
    return source


def _of_predictions(options: dict[str, Any]) -> Source:
    """Read a file of predictions, with keypoints and truth of the same recording if there is a data set."""
    from liftpose.formats import read_predictions
    from liftpose.inference import find_take_of_predictions, recording_of_predictions

    predictions = read_predictions(options["predictions"])
    if options["data"] is None:
        return Source(recording_of_predictions(predictions), predictions.poses_3d, "z", predictions.model)
    take = find_take_of_predictions(options["data"], options["dataset"], options["keypoints"], predictions)
    return Source(take.recording, predictions.poses_3d, take.up_axis, predictions.model)


def _of_take(options: dict[str, Any], show: Show) -> Source:
    """Read a recording of a data set, and predict its poses if there is a checkpoint."""
    import torch

    from liftpose.inference import find_take, load_lifter, predict_poses

    loaded = None
    if options["ckpt_path"] is not None:
        name = options["device"]
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            loaded = load_lifter(options["ckpt_path"]).to(name)
        except (RuntimeError, AssertionError) as error:  # what torch says about devices
            raise LiftposeError(f"--device: expected a device that is there, found {name}") from error
    take = find_take(
        options["data"],
        options["dataset"],
        options["keypoints"],
        subject=options["subject"],
        action=options["action"],
        camera=options["camera"] or 0,
        skeleton=None if loaded is None else loaded.lifter.skeleton,
    )
    if loaded is None:
        return Source(take.recording, None, take.up_axis, "")
    poses = predict_poses(
        loaded,
        take.recording,
        batch_size=options["batch_size"],
        progress=lambda number, count: show(number, count, "predict"),
    )
    return Source(take.recording, poses, take.up_axis, loaded.name)


# -------------------------------------------------------------------------------------------------------------- outputs
def _export(options: dict[str, Any], source: Source) -> list[str]:
    """Write the predictions of all frames if asked for."""
    if options["export"] is None or source.prediction is None:
        return []
    from liftpose.formats import write_predictions

    write_predictions(options["export"], source.recording, source.prediction, model=source.model)
    return [f"wrote {options['export']}: {len(source.prediction)} poses"]


def _write(path: Path, options: dict[str, Any], source: Source, show: Show) -> str:
    """Write one film or page and return a line about it."""
    from liftpose.viewer.scene import build_scene

    scene = build_scene(
        source.recording,
        source.prediction,
        up_axis=source.up_axis,
        skip=options["skip"],
        limit=options["limit"],
        k=options["downsample"],
    )
    if path.suffix.lower() in PAGES:
        from liftpose.viewer.page import write_page

        write_page(path, scene, model=source.model)
        return f"wrote {path}: {len(scene)} frames, {path.stat().st_size / 1e6:.1f} MB"
    return _write_film(path, options, source, scene, show)


def _write_film(path: Path, options: dict[str, Any], source: Source, scene: Scene, show: Show) -> str:
    from liftpose.formats.video import write_gif, write_mp4
    from liftpose.viewer.film import Film

    video = options["video"]
    if video is not None:
        scene = _check_video(options, source.recording, scene)
    began = time.monotonic()
    width, height = _panel_size(options["size"])
    film = Film(scene, width, height, turn=math.radians(options["turn"]), backdrop=video is not None)
    backdrops = None if video is None else _backdrops(options, film)
    pictures = _counted(film.pictures(backdrops), len(scene), path.name, show)
    if path.suffix.lower() == ".gif":
        written = write_gif(path, pictures, scene.fps)
    else:
        written = write_mp4(path, pictures, scene.fps, bitrate=options["bitrate"])
    left_out = f" ({len(scene) - written} left out: a GIF cannot be faster)" if written < len(scene) else ""
    size = "x".join(map(str, film.size))
    megabytes, seconds = path.stat().st_size / 1e6, time.monotonic() - began
    return (
        f"wrote {path}: {written} frames{left_out} at {scene.fps:.4g}/s, {size}, {megabytes:.1f} MB, in {seconds:.1f} s"
    )


def _counted(pictures: Iterator[Pixels], count: int, name: str, show: Show) -> Iterator[Pixels]:
    """Hand pictures on and show how many there were."""
    for number, picture in enumerate(pictures, 1):
        yield picture
        show(number, count, name)


def _check_video(options: dict[str, Any], recording: Recording, scene: Scene) -> Scene:
    """Refuse a video that does not go with the recording; return the scene with the size of its pictures."""
    from liftpose.formats.video import read_video_info

    path, start = options["video"], options["video_start"]
    info = read_video_info(path)
    there, wanted = info.frames - start, len(recording)
    enough = options["skip"] + len(scene) * options["downsample"] <= there
    if not enough or (there != wanted and options["limit"] < 0):
        common = (min(there, wanted) - options["skip"]) // options["downsample"]
        late = f" less the {start} of --video_start" if start else ""
        rates = (
            f", {info.fps:.4g} and {recording.fps:.4g} per second"
            if abs(info.fps - recording.fps) > 0.01 * info.fps
            else ""
        )
        advice = f"--limit {common} shows what both have, " if common > 0 else ""
        raise LiftposeError(
            f"--video {path}: expected the {wanted} frames of {recording.name}, found "
            f"{info.frames}{late}{rates} ({advice}--video_start N says how many come before the recording)"
        )
    if scene.image_size is None:
        return replace(scene, image_size=(float(info.width), float(info.height)))
    shape, found = scene.image_size[0] / scene.image_size[1], info.width / info.height
    if abs(found / shape - 1) > OTHER_SHAPE:
        size = "x".join(f"{side:.0f}" for side in scene.image_size)
        raise LiftposeError(
            f"--video {path}: expected pictures of the shape {size} of camera {scene.view}, found "
            f"{info.width}x{info.height}"
        )
    return scene


def _backdrops(options: dict[str, Any], film: Film) -> Iterator[Pixels]:
    """Yield a picture of the video for every frame of the film, blocks of frames averaged."""
    import numpy as np

    from liftpose.formats.video import read_video

    k, box = options["downsample"], film.backdrop
    size = None if box is None else (box.width, box.height)
    frames = read_video(options["video"], start=options["video_start"] + options["skip"], size=size)
    for number in range(len(film.scene)):
        block = list(islice(frames, k))
        if len(block) < k:
            raise LiftposeError(
                f"--video {options['video']}: expected a whole video, found its end at frame {number * k + len(block)}"
            )
        yield block[0] if k == 1 else np.asarray(np.mean(block, axis=0) + 0.5, dtype=np.uint8)
