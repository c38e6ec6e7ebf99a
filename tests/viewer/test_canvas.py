from __future__ import annotations

import os
import warnings
from pathlib import Path

import cv2
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from liftpose.errors import LiftposeError
from liftpose.skeletons import H36M_17
from liftpose.viewer import draw_curves, draw_pose, draw_sequence, figure_to_array, save_figure
from liftpose.viewer.canvas import new_figure


def test_a_saved_png_has_the_pixels_of_the_array(tmp_path: Path, standing: NDArray[np.float64]) -> None:
    figure = draw_pose(standing, None, H36M_17)
    save_figure(figure, tmp_path / "new" / "pose.png", dpi=100)
    pixels = figure_to_array(figure)
    assert pixels.dtype == np.uint8
    assert pixels.flags.owndata
    saved = cv2.cvtColor(cv2.imread(str(tmp_path / "new" / "pose.png")), cv2.COLOR_BGR2RGB)
    assert np.array_equal(saved, pixels)
    assert pixels.std() > 10, "not blank"
    assert os.listdir(tmp_path / "new") == ["pose.png"]


def test_the_resolution_is_that_of_the_call(tmp_path: Path) -> None:
    save_figure(new_figure(2, 1), tmp_path / "a.png", dpi=60)
    assert cv2.imread(str(tmp_path / "a.png")).shape == (60, 120, 3)
    assert figure_to_array(new_figure(2, 1)).shape == (100, 200, 3)


@pytest.mark.parametrize(("suffix", "start"), [(".pdf", b"%PDF"), (".svg", b"<?xml"), (".PNG", b"\x89PNG")])
def test_the_suffix_chooses_the_format(tmp_path: Path, suffix: str, start: bytes) -> None:
    path = tmp_path / f"picture{suffix}"
    save_figure(new_figure(1, 1), path)
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize(("name", "found"), [("picture.jpg", "'.jpg'"), ("picture", "no suffix")])
def test_another_suffix_is_a_mistake(tmp_path: Path, name: str, found: str) -> None:
    with pytest.raises(LiftposeError, match=rf"{name}: expected .*\.png, \.pdf, \.svg, found {found}"):
        save_figure(new_figure(1, 1), tmp_path / name)
    assert not os.listdir(tmp_path)


def test_a_picture_that_cannot_be_drawn_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")

    def fail(_figure: Figure, path: Path, **_options: object) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("drawing failed")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(RuntimeError, match="drawing failed"):
        save_figure(new_figure(1, 1), path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["picture.png"]


def test_a_folder_that_cannot_be_made_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LiftposeError, match=r"picture\.png"):
        save_figure(new_figure(1, 1), tmp_path / "file" / "picture.png")


def test_figures_made_elsewhere_can_be_turned_into_pixels() -> None:
    figure = Figure(figsize=(1, 1), dpi=50, facecolor="#ff0000")
    assert (figure_to_array(figure) == [255, 0, 0]).all()


def test_the_settings_of_a_notebook_change_no_pose(standing: NDArray[np.float64]) -> None:
    plain = figure_to_array(draw_pose(standing, standing * 1.1, H36M_17, title="title"))
    settings = {
        "axes.facecolor": "black",
        "axes.grid": True,
        "axes.labelcolor": "white",
        "figure.constrained_layout.use": True,
        "figure.dpi": 30,
        "figure.facecolor": "black",
        "font.size": 20,
        "lines.linewidth": 9,
        "lines.marker": "o",
        "text.color": "white",
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout engine that cannot move the panels says so
        assert np.array_equal(figure_to_array(draw_pose(standing, standing * 1.1, H36M_17, title="title")), plain)


def test_drawing_changes_no_global_state(standing: NDArray[np.float64], tmp_path: Path) -> None:
    def state() -> dict[str, object]:
        return dict(dict.items(mpl.rcParams))  # the plain items: asking for the backend by name would choose one

    figures, before = plt.get_fignums(), state()
    poses = np.stack([standing, standing * 1.1])
    save_figure(draw_sequence(poses, poses, poses[..., :2] * 100, H36M_17), tmp_path / "sequence.png")
    figure_to_array(draw_pose(poses[0], poses[1], H36M_17))
    figure_to_array(draw_curves({"a": [(0, 1), (1, 100)]}))
    assert state() == before
    assert plt.get_fignums() == figures, "no figure is kept alive"


def test_curves_have_pixels_too() -> None:
    assert figure_to_array(draw_curves({"a": [(0, 1.0), (1, 2.0)]})).std() > 5
