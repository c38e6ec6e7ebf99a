"""One self-contained HTML page with a player for the poses of a scene."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from liftpose import __version__
from liftpose.formats.atomic import write_text
from liftpose.viewer.bones import DARK_PALETTE, LIGHT_PALETTE, bone_sides
from liftpose.viewer.scene import Scene

__all__ = ["MISSING", "build_page", "write_page"]

MISSING: Final = -32768
"""Stands for a coordinate that is not known."""

_SCRIPT: Final = ("page_data.js", "page_views.js", "page_player.js")
_LARGEST: Final = 32767
_PLACE: Final = re.compile(r"\{\{(\w+)\}\}")


def build_page(scene: Scene, *, model: str = "", note: str = "") -> str:
    """Build the page: markup, style, script and poses in one text that needs no network.

    Coordinates are kept as 16-bit numbers, poses relative to the root: to 0.05 mm for poses that reach 3 m.

    Args:
        scene: What the page shows.
        model: What has predicted the poses, for the line under the title.
        note: What else that line says.

    Returns:
        HTML. No text of the scene can become markup or script: texts are escaped, and the page's policy lets no script
        run but its own.
    """
    style = _part("page.css")
    # One function around all parts: nothing of the script can be reached from outside.
    script = f'"use strict";\n(() => {{\n{"".join(map(_part, _SCRIPT))}}})();\n'
    values = {
        "title": html.escape(scene.title),
        "about": html.escape(" · ".join(filter(None, (_about(scene, model), note)))),
        "generator": html.escape(f"liftpose {__version__}"),
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "data": _as_json(_content(scene)),
    }
    # In one pass, so that nothing in a value is taken for a place.
    return _PLACE.sub(lambda place: values[place[1]], _part("page.html"))


def write_page(path: str | os.PathLike[str], scene: Scene, *, model: str = "", note: str = "") -> None:
    """Write the page of a scene, all or nothing.

    Args:
        path: The HTML file.
        scene: What the page shows.
        model: What has predicted the poses, for the line under the title.
        note: What else that line says.

    Raises:
        LiftposeError: The file cannot be written.
    """
    write_text(path, build_page(scene, model=model, note=note))


def _part(name: str) -> str:
    return resources.files("liftpose.viewer").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _about(scene: Scene, model: str) -> str:
    """Say what is shown: numbers, units, where poses stand."""
    count = len(scene)
    parts = [
        f"{count} frame{'s' if count != 1 else ''} at {scene.fps:.4g} per second"
        if scene.pictures is None
        else f"{count} {'people' if count != 1 else 'person'}",
        f"{len(scene.skeleton)} joints ({scene.skeleton.name})",
    ]
    if scene.keypoints_2d is not None and scene.keypoint_skeleton != scene.skeleton:
        parts.append(f"{len(scene.keypoint_skeleton)} keypoints ({scene.keypoint_skeleton.name})")
    if scene.prediction is not None or scene.truth is not None:
        parts.append("lengths in metres, a floor line every 0.5 m")
    if scene.errors_mm is not None:
        parts.append("error: mean distance of the joints in millimetres, relative to the root")
    if model:
        parts.append(f"predicted by {model}")
    return " · ".join(parts)


def _content(scene: Scene) -> dict[str, Any]:
    """Collect what the script needs."""
    anchor = scene.truth if scene.truth is not None else scene.prediction
    roots = None if anchor is None else anchor[:, scene.skeleton.root].astype("<f4")

    def relative(poses: NDArray[np.float64] | None) -> dict[str, Any] | None:
        return None if poses is None or roots is None else _pack(poses - roots[:, None].astype(np.float64))

    return {
        "frames": len(scene),
        "fps": scene.fps,
        "parents": list(scene.skeleton.parents),
        "joints": list(scene.skeleton.joint_names),
        "sides": bone_sides(scene.skeleton),
        "keypointParents": list(scene.keypoint_skeleton.parents),
        "keypointSides": bone_sides(scene.keypoint_skeleton),
        "azimuth": scene.azimuth,
        "imageSize": None if scene.image_size is None else [round(side) for side in scene.image_size],
        "pictures": None if scene.pictures is None else [picture.to_dict() for picture in scene.pictures],
        "keypoints": None if scene.keypoints_2d is None else _pack(scene.keypoints_2d),
        "prediction": relative(scene.prediction),
        "truth": relative(scene.truth),
        "roots": None if roots is None else _base64(roots),
        "errors": None if scene.errors_mm is None else _base64(scene.errors_mm.astype("<f4")),
        "colours": {"light": LIGHT_PALETTE, "dark": DARK_PALETTE},
    }


def _pack(values: NDArray[np.float64]) -> dict[str, Any]:
    """Write coordinates as 16-bit numbers: value = number * scale + offset."""
    known = np.isfinite(values).all(-1, keepdims=True)
    finite = values[np.broadcast_to(known, values.shape)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    offset = (low + high) / 2
    scale = max((high - low) / 2, 1e-9) / _LARGEST
    numbers = np.where(known, np.round((values - offset) / scale), MISSING)
    return {"scale": scale, "offset": offset, "data": _base64(numbers.astype("<i2"))}


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _as_json(content: dict[str, Any]) -> str:
    """Write JSON in which nothing looks like markup."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
