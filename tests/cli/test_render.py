from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from liftpose.formats import find_dataset_files, read_h36m, read_predictions
from liftpose.formats.video import write_mp4

Run = Callable[..., tuple[int, str, str]]
TINY = Path(__file__).parents[1]
FRAMES, FPS = 43, 50.0  # of Walking in the tiny data set


@pytest.fixture(scope="module")
def checkpoint(h36m_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from liftpose.cli.main import main

    run = tmp_path_factory.mktemp("runs") / "run"
    options = [f"--data.root={h36m_root}", f"--trainer.default_root_dir={run}"]
    assert main(["fit", "--config", "ridge.yaml", "--config", str(TINY / "tiny.yaml"), *options]) == 0
    return run / "checkpoints" / "best.ckpt"


@pytest.fixture
def render(liftpose: Run, h36m_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Render the walk of S11 with some more words, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object, take: bool = True) -> tuple[int, str, str]:
        which = ("--data", h36m_root, "--subject", "S11", "--action", "Walking", "--camera", 1) if take else ()
        return liftpose("render", *which, *words)

    return run


def film_of(path: Path) -> tuple[int, float, tuple[int, int]]:
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    return count, capture.get(cv2.CAP_PROP_FPS), (int(capture.get(3)), int(capture.get(4)))


def page_data(path: Path) -> dict[str, Any]:
    found = re.search(r'id="poses">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    content = json.loads(found[1])
    assert isinstance(content, dict)
    return content


def grey_video(path: Path, frames: int, size: tuple[int, int] = (100, 100)) -> Path:
    """A video whose frames have the grey of their number."""
    write_mp4(path, (np.full((size[1], size[0], 3), 5 * n, np.uint8) for n in range(frames)), 50)
    return path


# --------------------------------------------------------------------------------------------------------------- words
def test_a_film_a_gif_and_a_page_of_one_take(render: Run, checkpoint: Path, tmp_path: Path) -> None:
    code, out, err = render(
        "--ckpt_path", checkpoint, "--out", "a/film.mp4", "film.gif", "page.html", "--size", "96x64", "--limit", 9
    )
    assert (code, err) == (0, "")
    assert film_of(tmp_path / "a" / "film.mp4")[:2] == (9, FPS)
    with Image.open(tmp_path / "film.gif") as film:
        assert (film.n_frames, film.info["duration"]) == (9, 20)
        assert film.size == film_of(tmp_path / "a" / "film.mp4")[2]
    data = page_data(tmp_path / "page.html")
    assert data["frames"] == 9
    assert None not in (data["prediction"], data["truth"], data["keypoints"], data["errors"])
    assert "<title>S11, Walking, camera 1</title>" in (tmp_path / "page.html").read_text()
    assert re.search(r"wrote a/film\.mp4: 9 frames at 50/s, \d+x\d+, \d+\.\d MB", out)


def test_the_predictions_can_be_exported_and_shown_again(
    render: Run, checkpoint: Path, h36m_root: Path, tmp_path: Path
) -> None:
    code, out, err = render("--ckpt_path", checkpoint, "--out", "one.html", "--export", "poses.npz", "--skip", 5)
    assert (code, err) == (0, "")
    predictions = read_predictions(tmp_path / "poses.npz")
    assert predictions.poses_3d.shape == (FRAMES, 17, 3), "all frames, whatever is shown"
    assert str(checkpoint) in predictions.model
    again = ("--predictions", "poses.npz", "--skip", 5)
    assert render(*again, "--data", h36m_root, "--out", "two.html", take=False)[0] == 0
    assert (tmp_path / "two.html").read_text() == (tmp_path / "one.html").read_text()
    code, out, _ = render(*again, "--out", "three.html", take=False)
    assert code == 0
    assert "no true poses" not in out, "nobody has asked for them"
    data = page_data(tmp_path / "three.html")
    assert data["truth"] is None and data["errors"] is None and data["prediction"] is not None


def test_the_error_is_that_of_the_test_table(render: Run, checkpoint: Path, h36m_root: Path, tmp_path: Path) -> None:
    """Against numpy: camera-frame distances relative to the root."""
    import base64

    import torch

    render("--ckpt_path", checkpoint, "--out", "page.html", "--export", "poses.npz")
    (recording,) = [
        recording
        for recording in read_h36m(*find_dataset_files(h36m_root, "h36m", "gt"), subjects=["S11"])
        if (recording.action, recording.view) == ("Walking", 1)
    ]
    assert recording.camera is not None
    truth = recording.camera.to_camera(torch.tensor(recording.poses_3d, dtype=torch.float64)).numpy()
    predicted = read_predictions(tmp_path / "poses.npz").poses_3d
    distances = np.linalg.norm(predicted - predicted[:, :1] - truth + truth[:, :1], axis=-1).mean(1) * 1000
    errors = np.frombuffer(base64.b64decode(page_data(tmp_path / "page.html")["errors"]), "<f4")
    np.testing.assert_allclose(errors, distances, rtol=1e-4)


@pytest.mark.parametrize(
    ("words", "frames", "fps"),
    [
        ((), FRAMES, 50.0),
        (("--skip", 10), 33, 50.0),
        (("--limit", 7), 7, 50.0),
        (("--downsample", 5), 8, 10.0),
        (("--skip", 2, "--downsample", 2, "--limit", 11), 11, 25.0),
    ],
)
def test_frames_are_chosen(words: tuple[object, ...], frames: int, fps: float, render: Run, tmp_path: Path) -> None:
    assert render("--out", "film.mp4", "page.html", "--size", "64", *words)[0] == 0
    assert film_of(tmp_path / "film.mp4")[:2] == (frames, fps)
    data = page_data(tmp_path / "page.html")
    assert (data["frames"], data["fps"]) == (frames, fps)


def test_the_truth_can_be_left_out(render: Run, checkpoint: Path, tmp_path: Path) -> None:
    code, out, _ = render("--ckpt_path", checkpoint, "--out", "page.html", "--truth", "false")
    assert code == 0
    assert "no true poses" not in out
    assert page_data(tmp_path / "page.html")["truth"] is None


def test_the_size_is_that_of_a_panel(render: Run, tmp_path: Path) -> None:
    sizes = []
    for size in ("200x100", "300x100", "200x140"):
        assert render("--out", "film.mp4", "--limit", 2, "--size", size)[0] == 0
        sizes.append(film_of(tmp_path / "film.mp4")[2])
    assert sizes[1][0] - sizes[0][0] == 200, "two panels: input and truth"
    assert sizes[1][1] == sizes[0][1] < sizes[2][1]


def test_a_turned_film_shows_the_person_from_elsewhere(render: Run, tmp_path: Path) -> None:
    pictures = []
    for turn in (0, 90):
        render("--out", "film.mp4", "--limit", 1, "--turn", turn)
        pictures.append(cv2.VideoCapture(str(tmp_path / "film.mp4")).read()[1].astype(int))
    differs = np.abs(pictures[0] - pictures[1]).max(-1) > 40
    assert not differs[:, :500].any(), "the input stays"
    assert differs[:, 510:].any()


# --------------------------------------------------------------------------------------------------------------- videos
def grey_under_keypoints(path: Path) -> list[float]:
    capture, greys = cv2.VideoCapture(str(path)), []
    while (answer := capture.read())[0]:
        picture: NDArray[np.uint8] = answer[1]
        panel = picture[: picture.shape[0] - 10, 14:230].reshape(-1, 3)
        # The grey that most pixels of the panel have; bones and their rims are not grey or few.
        flat = panel[(np.ptp(panel.astype(int), axis=1) < 6)][:, 0]
        greys.append(float(np.bincount(flat[flat < 240]).argmax()))
    return greys


def test_every_frame_lies_over_its_picture_of_the_video(render: Run, tmp_path: Path) -> None:
    grey_video(tmp_path / "video.mp4", FRAMES)
    assert render("--out", "film.mp4", "--video", "video.mp4", "--size", 240, "--skip", 3, "--limit", 30)[0] == 0
    np.testing.assert_allclose(grey_under_keypoints(tmp_path / "film.mp4"), 5 * np.arange(3, 33), atol=4)


def test_pictures_are_averaged_with_the_poses(render: Run, tmp_path: Path) -> None:
    grey_video(tmp_path / "video.mp4", FRAMES + 4)
    words = ("--video", "video.mp4", "--video_start", 4, "--size", 240, "--downsample", 5, "--skip", 1)
    assert render("--out", "film.mp4", *words)[0] == 0
    expected = 5 * (4 + 1 + np.arange(40).reshape(8, 5).mean(1))
    np.testing.assert_allclose(grey_under_keypoints(tmp_path / "film.mp4"), expected, atol=5)


def test_a_video_of_another_length_is_refused_with_the_way_out(render: Run, tmp_path: Path) -> None:
    grey_video(tmp_path / "long.mp4", FRAMES + 7)
    grey_video(tmp_path / "short.mp4", FRAMES - 13)
    code, _, err = render("--out", "film.mp4", "--video", "long.mp4")
    assert (code, err.count("\n")) == (2, 1)
    assert "--video long.mp4: expected the 43 frames of S11/Walking.1, found 50 (--limit 43 shows what both have" in err
    assert render("--out", "film.mp4", "--video", "long.mp4", "--limit", 43, "--size", 64)[0] == 0
    code, _, err = render("--out", "film.mp4", "--video", "short.mp4")
    assert "found 30 (--limit 30 shows what both have" in err
    code, _, err = render("--out", "film.mp4", "--video", "short.mp4", "--limit", 31)
    assert "expected the 43 frames" in err
    assert render("--out", "film.mp4", "--video", "short.mp4", "--limit", 30, "--size", 64)[0] == 0
    assert render("--out", "film.mp4", "--video", "long.mp4", "--video_start", 7, "--size", 64)[0] == 0
    err = render("--out", "film.mp4", "--video", "long.mp4", "--video_start", 8)[2]
    assert "found 50 less the 8 of --video_start (--limit 42" in err


def test_a_video_of_another_shape_or_none_is_refused(render: Run, tmp_path: Path) -> None:
    grey_video(tmp_path / "wide.mp4", FRAMES, (160, 100))
    (tmp_path / "text.mp4").write_text("no video")
    for video, words in (
        ("wide.mp4", "expected pictures of the shape 1000x1000 of camera 1, found 160x100"),
        ("text.mp4", "text.mp4: expected a video, found"),
        ("none.mp4", "none.mp4: expected a video, found: no such file"),
    ):
        code, _, err = render("--out", "film.mp4", "--video", video)
        assert (code, err.count("\n")) == (2, 1)
        assert words in err
    assert not (tmp_path / "film.mp4").exists()


def test_without_pyav_it_is_said_how_to_get_it(render: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    code, _, err = render("--out", "film.mp4", "--size", 64)
    assert (code, err.count("\n")) == (2, 1)
    assert "pip install 'liftpose[video]'" in err
    assert render("--out", "film.gif", "page.html", "--size", 64, "--limit", 3)[0] == 0


# ------------------------------------------------------------------------------------------------------------ mistakes
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "--out: expected a file to write (.mp4, .gif or .html), found none"),
        (("--out", "film.avi"), "--out film.avi: expected a name that ends in .mp4, .gif or .html"),
        (("--out", "film"), "--out film: expected a name that ends in .mp4, .gif or .html"),
        (
            ("--out", "a.mp4", "--size", "big"),
            "--size: expected WIDTHxHEIGHT from 64x64 to 4096x4096 pixels, found big",
        ),
        (("--out", "a.mp4", "--size", "9000x10"), "--size: expected WIDTHxHEIGHT"),
        (("--out", "a.mp4", "--skip", "many"), "skip: expected a whole number, found many"),
        (("--out", "a.mp4", "--skip", 43), "--skip: expected frames left to show, found none of 43"),
        (("--out", "a.mp4", "--limit", 0), "--limit: expected a number of frames from 1 up"),
        (("--out", "a.mp4", "--downsample", 0), "--downsample: expected a whole number from 1 up, found 0"),
        (("--out", "a.mp4", "--bitrate", 0), "--bitrate: expected a whole number from 1 up, found 0"),
        (("--out", "a.mp4", "--video_start", -1), "--video_start: expected a whole number from 0 up, found -1"),
        (
            ("--out", "a.html", "--video", "x.mp4"),
            "--video: expected a film among --out (.mp4 or .gif), found pages only",
        ),
        (
            ("--out", "a.mp4", "--viddeo", "x.mp4"),
            "--viddeo: expected the name of an option, found no option of this name",
        ),
        (("--out", "a.html", "--export", "poses.npy"), "--export poses.npy: expected a name that ends in .npz"),
        (("--out", "a.html", "--export", "a.npz"), "--export: expected a --ckpt_path that predicts poses, found none"),
        (("--out", "a.html", "--predictions", "a.npz"), "--subject: expected it without --predictions"),
        (("--out", "a.html", "--subject", "S99"), "--subject: expected one of S1, S5, S6, S7, S8, S9, S11, found S99"),
        (("--out", "a.html", "--action", "Jump"), "takes Directions 1, Sitting, SittingDown 2, Walking; found Jump"),
        (("--out", "a.html", "--camera", 7), "--camera: expected one of 0, 1, 2, 3, found 7"),
        (("--out", "a.html", "--keypoints", "cpn"), "expected the cpn keypoints of h36m, found the keypoints"),
        (("--out", "a.html", "--dataset", "cmu"), "expected the 3D poses of cmu, found the data sets h36m"),
        (("--out", "a.html", "--ckpt_path", "none.ckpt"), "none.ckpt: expected a checkpoint, found no such file"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[object, ...], complaint: str, render: Run, tmp_path: Path) -> None:
    code, out, err = render(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert complaint in err
    assert list(tmp_path.iterdir()) == []


def test_something_to_show_has_to_be_named(render: Run) -> None:
    for words, complaint in (
        (("--out", "a.html"), "--data: expected the folder of a data set (or --predictions FILE), found none"),
        (("--out", "a.html", "--data", "x"), "--subject: expected the name of one in x, found none"),
        (("--out", "a.html", "--predictions", "x.npz"), "x.npz: expected an npz file, found no such file"),
    ):
        code, _, err = render(*words, take=False)
        assert code == 2
        assert complaint in err


def test_a_checkpoint_of_other_joints_is_refused(render: Run, checkpoint: Path, tmp_path: Path) -> None:
    import torch

    content = torch.load(checkpoint, weights_only=True)
    lifter = content["hyper_parameters"]["lifter"]["init_args"]
    lifter["skeleton"] = "humaneva_15"
    weights = content["state_dict"]
    weights["lifter.weight"], weights["lifter.bias"] = torch.zeros(45, 30), torch.zeros(45)
    content["liftpose_lifter"] |= {"skeleton": "humaneva_15", "keypoint_skeleton": "humaneva_15"}
    torch.save(content, tmp_path / "other.ckpt")
    code, _, err = render("--ckpt_path", "other.ckpt", "--out", "a.html")
    assert (code, err.count("\n")) == (2, 1)
    assert "S11/Walking.1: expected the skeleton humaneva_15 of the lifter LinearLifter" in err
    assert "found h36m_17" in err


def test_a_recording_without_truth_is_shown_without_and_it_is_said(
    render: Run, h36m_root: Path, checkpoint: Path, tmp_path: Path
) -> None:
    content = dict(np.load(h36m_root / "data_2d_h36m_gt.npz", allow_pickle=True))
    people = content["positions_2d"].item()
    people["S2"] = {"Walking": people["S9"]["Walking"]}
    data = tmp_path / "data"
    data.mkdir()
    np.savez(data / "data_2d_h36m_gt.npz", positions_2d=np.array(people, dtype=object), metadata=content["metadata"])
    (data / "data_3d_h36m.npz").symlink_to(h36m_root / "data_3d_h36m.npz")
    words = ("--data", data, "--subject", "S2", "--action", "Walking", "--out", "film.mp4", "page.html", "--size", 64)
    code, out, err = render(*words, "--ckpt_path", checkpoint, take=False)
    assert (code, err) == (0, "")
    assert "S2/Walking.0: no true poses are known, so none are shown\n" in out
    assert film_of(tmp_path / "film.mp4")[0] == FRAMES
    assert page_data(tmp_path / "page.html")["errors"] is None
    code, _, err = render(*words, "--truth", "true", take=False)
    assert (code, err.count("\n")) == (2, 1)
    assert "--truth true: expected true poses of S2/Walking.0, found none" in err
    code, out, err = render(*words, take=False)
    assert (code, err) == (0, ""), "keypoints alone can be shown too"


def test_a_hostile_name_stays_a_name(render: Run, h36m_root: Path, tmp_path: Path) -> None:
    content = dict(np.load(h36m_root / "data_2d_h36m_gt.npz", allow_pickle=True))
    people = content["positions_2d"].item()
    name = "</title><script>alert(1)</script>"
    people["S2"] = {name: people["S9"]["Walking"]}
    np.savez(
        tmp_path / "data_2d_h36m_gt.npz", positions_2d=np.array(people, dtype=object), metadata=content["metadata"]
    )
    (tmp_path / "data_3d_h36m.npz").symlink_to(h36m_root / "data_3d_h36m.npz")
    words = ("--data", tmp_path, "--subject", "S2", "--action", name, "--out", "page.html")
    assert render(*words, take=False)[0] == 0
    assert (tmp_path / "page.html").read_text().count("<script") == 2


# ---------------------------------------------------------------------------------------------------------------- help
def test_the_help_is_short_and_every_option_is_in_it(render: Run) -> None:
    code, out, err = render("--help", take=False)
    assert (code, err) == (0, "")
    assert out.startswith("usage: liftpose render --data FOLDER")
    everything = render("--help", "all", take=False)[1]
    shown, there = (set(re.findall(r"--\w+", text)) for text in (out, everything))
    assert there - {"--help"} == shown - {"--help"}


def test_neither_help_nor_a_page_imports_what_it_does_not_need() -> None:
    program = (
        "import sys; from liftpose.cli.main import main; main(['render', '--help']);"
        "first = {'torch', 'numpy', 'av', 'matplotlib', 'jsonargparse'} & set(sys.modules);"
        "import liftpose.cli.render, liftpose.inference, liftpose.viewer.page;"
        "second = {'av', 'pytorch_lightning', 'wandb'} & set(sys.modules);"
        "sys.exit(str((first, second)) if first or second else 0)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_a_film_without_a_folder_is_refused_before_it_is_drawn(render: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    code, out, err = render("--out", "file/walk.gif")
    assert (code, out) == (2, "")
    assert err == (
        f"liftpose: error: --out file/walk.gif: expected a folder to write to, found the file {tmp_path / 'file'}\n"
    )


def test_the_only_data_set_of_a_folder_need_not_be_named(render: Run, h36m_root: Path, tmp_path: Path) -> None:
    from liftpose.cli.render import _dataset_in

    assert _dataset_in(str(h36m_root)) == "h36m"
    (tmp_path / "data_3d_mine.npz").touch()
    assert _dataset_in(str(tmp_path)) == "mine"
    (tmp_path / "data_3d_other.npz").touch()
    assert _dataset_in(str(tmp_path)) == "h36m"  # which of the two has to be said
