"""Films are read back with other software: OpenCV reads and writes videos, Pillow reads GIFs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from liftpose.errors import LiftposeError
from liftpose.formats.video import FRAMES_FOR_PALETTE, read_video, read_video_info, write_gif, write_mp4

Picture = NDArray[np.uint8]
COLOURS = ((255, 255, 255), (106, 90, 205), (224, 123, 0))
WIDE, HIGH = 96, 64


def moving(count: int, width: int = WIDE, height: int = HIGH, channels: int = 3) -> Iterator[Picture]:
    """A purple square that moves by 2 pixels per frame over an orange floor."""
    for number in range(count):
        picture = np.full((height, width, channels), 255, np.uint8)
        picture[-16:, :, :3] = COLOURS[2]
        picture[10:26, 2 * number : 2 * number + 16, :3] = COLOURS[1]
        yield picture


def opencv_frames(path: Path) -> tuple[list[Picture], float]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (answer := capture.read())[0]:
        frames.append(answer[1][..., ::-1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A video that OpenCV has written: 12 frames, 10 per second, each with its number in its grey."""
    path = tmp_path / "other.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (WIDE, HIGH))
    for number in range(12):
        writer.write(np.full((HIGH, WIDE, 3), 10 + 20 * number, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(("fps", "channels", "bitrate"), [(50, 3, None), (12.5, 4, None), (30000 / 1001, 3, 500)])
def test_an_mp4_has_the_frames_and_the_speed_it_was_given(
    fps: float, channels: int, bitrate: int | None, tmp_path: Path
) -> None:
    assert write_mp4(tmp_path / "film.mp4", moving(30, channels=channels), fps, bitrate=bitrate) == 30
    frames, found = opencv_frames(tmp_path / "film.mp4")
    assert len(frames) == 30
    assert found == pytest.approx(fps, rel=1e-4)
    assert frames[0].shape == (HIGH, WIDE, 3)
    for number in (0, 13, 29):
        for place, colour in (((18, 2 * number + 8), 1), ((HIGH - 8, 50), 2), ((40, 50), 0)):
            assert np.abs(frames[number][place].astype(int) - COLOURS[colour]).max() < 20, (number, colour)


def test_odd_sizes_become_even(tmp_path: Path) -> None:
    write_mp4(tmp_path / "film.mp4", moving(3, 97, 65), 25)
    assert opencv_frames(tmp_path / "film.mp4")[0][0].shape == (66, 98, 3)


@pytest.mark.parametrize("fps", [50, 10, 30, 12.5])
def test_a_gif_keeps_the_speed_of_the_film(fps: float, tmp_path: Path) -> None:
    assert write_gif(tmp_path / "film.gif", moving(30), fps) == 30
    with Image.open(tmp_path / "film.gif") as film:
        assert (film.n_frames, film.size, film.info["loop"]) == (30, (WIDE, HIGH), 0)
        duration = 0
        for number, expected in enumerate(moving(30)):
            film.seek(number)
            duration += film.info["duration"]
            assert np.array_equal(np.asarray(film.convert("RGB")), expected), "few colours are kept as they are"
    assert duration == pytest.approx(1000 * 30 / fps, abs=5)


def test_a_gif_leaves_out_what_browsers_would_slow_down(tmp_path: Path) -> None:
    written = write_gif(tmp_path / "film.gif", moving(30), 120)
    with Image.open(tmp_path / "film.gif") as film:
        durations = []
        for number in range(film.n_frames):
            film.seek(number)
            durations.append(film.info["duration"])
    assert written == len(durations) < 30
    assert min(durations) >= 20
    assert sum(durations) == pytest.approx(250, abs=10)


def test_a_gif_of_many_colours_stays_close(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:HIGH, :WIDE]
    photo = np.stack([rows * 4, columns * 2, 255 - rows * 2 - columns], -1).astype(np.uint8)
    photo[:20] = 244
    write_gif(tmp_path / "film.gif", [photo, photo[:, ::-1].copy()], 25)
    with Image.open(tmp_path / "film.gif") as film:
        film.seek(1)
        shown = np.asarray(film.convert("RGB")).astype(int)
    assert np.abs(shown - photo[:, ::-1]).mean() < 8
    assert (shown[:20] == 244).all(), "the most frequent colours are kept as they are"


def test_films_are_not_held_in_memory(tmp_path: Path) -> None:
    alive: list[int] = []

    class Counted(np.ndarray):
        def __del__(self) -> None:
            if self.base is None:
                alive.append(-1)

    def frames() -> Iterator[Picture]:
        for picture in moving(40):
            frame = np.ndarray.__new__(Counted, picture.shape, np.uint8)
            frame[:] = picture
            alive.append(1)
            assert sum(alive) <= FRAMES_FOR_PALETTE + 4
            yield frame
            del frame

    for write, name in ((write_mp4, "film.mp4"), (write_gif, "film.gif")):
        alive.clear()
        write(tmp_path / name, frames(), 25)


@pytest.mark.parametrize("write", [write_mp4, write_gif])
def test_films_without_frames_or_of_different_frames_are_refused(write: object, tmp_path: Path) -> None:
    assert callable(write)
    with pytest.raises(ValueError, match="at least one frame"):
        write(tmp_path / "film.mp4", [], 25)
    with pytest.raises(ValueError, match="expected frames of shape"):
        write(tmp_path / "film.mp4", [*moving(2), *moving(1, 32)], 25)
    assert list(tmp_path.iterdir()) == [], "nothing is left of a film that failed"


def test_a_film_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for write in (write_mp4, write_gif):
        with pytest.raises(LiftposeError, match="expected to write the file, found"):
            write(tmp_path / "file" / "film.mp4", moving(2), 25)


def test_a_video_of_others_is_read(video: Path) -> None:
    info = read_video_info(video)
    assert (info.width, info.height, info.fps, info.frames) == (WIDE, HIGH, 10.0, 12)
    frames = list(read_video(video))
    expected, _ = opencv_frames(video)
    assert len(frames) == 12
    for frame, other in zip(frames, expected, strict=True):
        assert np.abs(frame.astype(int) - other).max() <= 3
    later = list(read_video(video, start=9, size=(30, 20)))
    assert [frame.shape for frame in later] == [(20, 30, 3)] * 3
    assert abs(int(later[0][5, 5, 0]) - 190) <= 3


def test_a_video_that_is_to_be_turned_is_turned(tmp_path: Path) -> None:
    """As phones write them: the pictures lie on their side, and the file says so."""
    import av

    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "yuv420p"
        for picture in moving(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    matrix = b"\x00\x01\x00\x00" + bytes(12) + b"\x00\x01\x00\x00" + bytes(12) + b"\x40\x00\x00\x00"
    quarter = bytes(4) + b"\x00\x01\x00\x00" + bytes(4) + b"\xff\xff\x00\x00" + bytes(16) + b"\x40\x00\x00\x00"
    content = path.read_bytes()
    track = content.index(matrix, content.index(b"tkhd"))
    path.write_bytes(content[:track] + quarter + content[track + 36 :])
    info = read_video_info(path)
    frame = next(read_video(path))
    expected, _ = opencv_frames(path)  # OpenCV turns them too
    assert (info.width, info.height) == (HIGH, WIDE)
    assert frame.shape == expected[0].shape == (WIDE, HIGH, 3)
    assert np.abs(frame.astype(int) - expected[0]).mean() < 4
    assert next(read_video(path, size=(32, 48))).shape == (48, 32, 3)


def test_what_is_no_video_is_one_line(video: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video at all")
    (tmp_path / "empty.mp4").write_bytes(b"")
    whole = tmp_path / "whole.mp4"
    write_mp4(whole, moving(30), 25)
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:900])
    for name in ("text.mp4", "empty.mp4", "cut.mp4", "none.mp4"):
        with pytest.raises(LiftposeError, match=f"{name}: expected a (whole )?video, found"):
            read_video_info(tmp_path / name)
        with pytest.raises(LiftposeError, match=f"{name}: expected a (whole )?video, found"):
            list(read_video(tmp_path / name))
    with pytest.raises(LiftposeError, match="expected a video, found"):
        read_video_info(tmp_path)


def test_without_pyav_it_is_said_how_to_get_it(video: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for act in (
        lambda: read_video_info(video),
        lambda: next(read_video(video)),
        lambda: write_mp4(tmp_path / "f.mp4", moving(2), 25),
    ):
        with pytest.raises(LiftposeError, match=r"pip install 'liftpose\[video\]'"):
            act()
    assert write_gif(tmp_path / "film.gif", moving(2), 25) == 2, "a GIF does not need it"
