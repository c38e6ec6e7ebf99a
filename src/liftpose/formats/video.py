"""Films: MP4 and other videos in and out through PyAV, GIF through Pillow; frame by frame, never a whole film at once.

Neither needs a program beside Python. PyAV is imported only where a video is read or written, since nothing else needs
it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from liftpose.errors import LiftposeError
from liftpose.formats.atomic import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["FRAMES_FOR_PALETTE", "VideoInfo", "read_video", "read_video_info", "write_gif", "write_mp4"]

Picture = NDArray[np.uint8]

FRAMES_FOR_PALETTE: Final = 16
"""Number of frames at the start of a GIF that decide its colours; so many are held at once."""

_ENCODERS: Final = ("libx264", "libopenh264", "mpeg4")  # the first one that this PyAV was built with
_QUALITY: Final = "20"  # libx264's constant rate factor: no difference can be seen in drawings
_BT709: Final = 1  # colour space, primaries and transfer of HD pictures all have this number (ITU-T H.273)
_LIMITED_RANGE: Final = 1
_TICKS: Final = 100  # a GIF counts time in hundredths of a second
_COLOURS: Final = 256
_EXACT: Final = 32  # of the colours of a GIF: the most frequent ones
_SHORTEST: Final = 2  # browsers show frames that claim to be shorter for a tenth of a second


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before its pictures are decoded.

    Attributes:
        width: Pixels, as it is to be shown.
        height: Pixels.
        fps: Frames per second, 0 where the file does not say.
        frames: Number of frames.
    """

    width: int
    height: int
    fps: float
    frames: int


def read_video_info(path: str | os.PathLike[str]) -> VideoInfo:
    """Read size, frame rate and number of frames; the frames are counted, since what headers say is often wrong.

    Args:
        path: A video of any kind that FFmpeg's libraries read.

    Returns:
        What the file says about itself.

    Raises:
        LiftposeError: The file is missing, is no video or holds no frame, or PyAV is not installed.
    """
    av = _pyav()
    try:
        with av.open(os.fspath(path)) as container:
            stream = _video_stream(container, path)
            rate = stream.average_rate
            count = sum(1 for packet in container.demux(stream) if packet.size and not packet.is_discard)
            width, height = stream.codec_context.width, stream.codec_context.height
        with av.open(os.fspath(path)) as container:
            first = next(container.decode(_video_stream(container, path)), None)
    except av.error.FFmpegError as error:
        raise _unreadable(path, error) from error
    if first is None or not count:
        raise LiftposeError(f"{path}: expected a video, found no frame in it")
    if first.rotation % 180:
        width, height = height, width
    return VideoInfo(width, height, float(rate) if rate else 0.0, count)


def read_video(
    path: str | os.PathLike[str], *, start: int = 0, size: tuple[int, int] | None = None
) -> Iterator[Picture]:
    """Decode the frames of a video one after the other, turned as the file says they are to be shown.

    Args:
        path: A video of any kind that FFmpeg's libraries read.
        start: Number of frames to leave out at the beginning.
        size: Width and height in pixels to scale every frame to, or None for its own.

    Yields:
        (H, W, 3) uint8, RGB.

    Raises:
        LiftposeError: The file is missing, is no video or is damaged, or PyAV is not installed.
    """
    av = _pyav()
    number = 0
    try:
        with av.open(os.fspath(path)) as container:
            stream = _video_stream(container, path)
            stream.thread_type = "AUTO"
            for number, frame in enumerate(container.decode(stream)):
                if number < start:
                    continue
                turns = round(frame.rotation / 90) % 4
                width, height = size or (0, 0)
                if turns % 2:
                    width, height = height, width
                picture: Picture = frame.to_ndarray(
                    width=width or None, height=height or None, format="rgb24", interpolation="AREA"
                )
                yield np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture
    except av.error.FFmpegError as error:
        if number:
            raise LiftposeError(f"{path}: expected a whole video, found damage after frame {number}") from error
        raise _unreadable(path, error) from error


def write_mp4(
    path: str | os.PathLike[str], frames: Iterable[Picture], fps: float, *, bitrate: int | None = None
) -> int:
    """Write a film as MP4 with H.264, all or nothing, each frame as it arrives.

    Args:
        path: The file to write.
        frames: (H, W, 3) RGB or (H, W, 4) RGBA, uint8, all of one size. A side of an odd number of pixels is made even
            by repeating the last row or column: H.264 as players know it wants that.
        fps: Frames per second.
        bitrate: Kilobits per second; None for constant quality.

    Returns:
        Number of frames written.

    Raises:
        ValueError: There is no frame, or one of another size.
        LiftposeError: The file cannot be written, or PyAV is not installed.
    """
    av = _pyav()
    codec = next((name for name in _ENCODERS if name in av.codecs_available), None)
    if codec is None:
        raise LiftposeError(f"{path}: expected a PyAV that writes one of {', '.join(_ENCODERS)}, found none of them")
    first, frames = _peek(frames)
    height, width = first.shape[:2]
    options = {"preset": "veryfast"} if codec == "libx264" else {}
    if codec == "libx264" and bitrate is None:
        options["crf"] = _QUALITY
    count = 0
    with write_atomically(path) as temporary:
        try:
            container = av.open(os.fspath(temporary), "w", format="mp4", options={"movflags": "faststart"})
        except av.error.FFmpegError as error:
            raise OSError(error.errno, error.strerror, os.fspath(temporary)) from error
        with container:
            stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(60000), options=options)
            stream.width, stream.height = width + width % 2, height + height % 2
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = _LIMITED_RANGE
            context.thread_count = 0  # as many as there are cores: the next frame is drawn while this one is encoded
            if bitrate is not None:
                stream.bit_rate = 1000 * bitrate
            for picture in frames:
                _check_size(picture, first)
                frame = av.VideoFrame.from_numpy_buffer(
                    np.ascontiguousarray(_made_even(picture)), format="rgba" if first.shape[2] == 4 else "rgb24"
                )
                # The default way to halve the colours' resolution takes twice the time for the same picture.
                plain = frame.reformat(format="yuv420p", dst_colorspace="ITU709", interpolation="FAST_BILINEAR")
                container.mux(stream.encode(plain))
                count += 1
            container.mux(stream.encode(None))
    return count


def write_gif(path: str | os.PathLike[str], frames: Iterable[Picture], fps: float) -> int:
    """Write a film as an endless GIF, all or nothing, each frame as it arrives.

    All frames share one palette of 256 colours, chosen from the first :data:`FRAMES_FOR_PALETTE`, and a frame holds
    only the rectangle that differs from the one before. A GIF counts time in hundredths of a second: frames begin at
    the nearest one, so that the film as a whole keeps its speed, and frames that would be shorter than browsers show
    them, as above 50 per second, are left out.

    Args:
        path: The file to write.
        frames: (H, W, 3) RGB or (H, W, 4) RGBA without transparency, uint8, all of one size.
        fps: Frames per second.

    Returns:
        Number of frames written.

    Raises:
        ValueError: There is no frame, or one of another size.
        LiftposeError: The file cannot be written.
    """
    from PIL import GifImagePlugin

    first, frames = _peek(frames)
    stream = iter(frames)
    start = list(islice(stream, FRAMES_FOR_PALETTE))
    palette = _Palette(start)
    kept = _kept_frames(chain(start, stream), fps)
    count = 0
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        before: Picture | None = None
        for picture, ticks in kept:
            _check_size(picture, first)
            indices = palette.indices(picture)
            image = palette.image(indices)
            if before is None:
                for block in GifImagePlugin.getheader(image, info={"loop": 0})[0]:
                    file.write(block)
            left, top, right, bottom = _changed(before, indices)
            part = image.crop((left, top, right, bottom))
            blocks: Sequence[bytes] = GifImagePlugin.getdata(part, (left, top), duration=10 * ticks)
            for block in blocks:
                file.write(block)
            before = indices
            count += 1
        file.write(b";")
    return count


def _pyav() -> Any:
    """Import PyAV, or say how it is installed."""
    try:
        import av
    except ImportError as error:
        raise LiftposeError(
            "videos: expected the package av (pip install 'liftpose[video]'; no ffmpeg program is needed), found none"
        ) from error
    return av


def _video_stream(container: Any, path: str | os.PathLike[str]) -> Any:
    if not container.streams.video:
        raise LiftposeError(f"{path}: expected a video, found no pictures in it")
    return container.streams.video[0]


def _unreadable(path: str | os.PathLike[str], error: Any) -> LiftposeError:
    return LiftposeError(f"{path}: expected a video, found: {(error.strerror or str(error)).lower()}")


def _peek(frames: Iterable[Picture]) -> tuple[Picture, Iterator[Picture]]:
    """Return the first frame, and all of them."""
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise ValueError("expected at least one frame, found none")
    return first, chain([first], stream)


def _check_size(picture: Picture, first: Picture) -> None:
    if picture.shape != first.shape:
        raise ValueError(f"expected frames of shape {first.shape} as the first one, found {picture.shape}")


def _made_even(picture: Picture) -> Picture:
    """Repeat the last row or column of a picture with an odd number of them."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    return picture


def _image(picture: Picture) -> Image:
    from PIL import Image as images

    return images.fromarray(np.ascontiguousarray(picture[..., :3]))


class _Palette:
    """256 colours for some pictures, a few of them spread evenly being looked at, and the nearest one to any colour.

    The most frequent colours are kept as they are: a background that has become a shade darker would be seen.
    """

    def __init__(self, pictures: Sequence[Picture]) -> None:
        from PIL.Image import Dither

        shown = pictures[:: max(1, len(pictures) // 4)]
        looked_at = np.concatenate([picture[..., :3].reshape(-1, 3) for picture in shown])
        packed = looked_at.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
        colours, counts = np.unique(packed, return_counts=True)
        exact = colours[np.argsort(-counts, kind="stable")][: _COLOURS if len(colours) <= _COLOURS else _EXACT]
        rows = np.stack([exact >> 16, exact >> 8 & 255, exact & 255], axis=1).astype(np.uint8)
        self.table: list[int] = rows.ravel().tolist()
        if len(colours) > _COLOURS:
            self.table += _image(looked_at[None]).quantize(_COLOURS - _EXACT).getpalette() or []
        cells = np.indices((64, 64, 64)).reshape(3, 512, 512).transpose(1, 2, 0) * 4 + 2
        nearest = _image(cells.astype(np.uint8)).quantize(
            palette=self.image(np.zeros((1, 1), np.uint8)), dither=Dither.NONE
        )
        self._nearest = np.asarray(nearest).ravel().copy()
        self._nearest[_cell(rows[::-1])] = np.arange(len(rows))[::-1]  # of two in one cell, the more frequent one

    def image(self, indices: Picture) -> Image:
        """Return (H, W) numbers of colours as a picture."""
        from PIL import Image as images

        image = images.fromarray(indices, "P") if indices.size > 1 else images.new("P", (1, 1))
        image.putpalette(self.table)
        return image

    def indices(self, picture: Picture) -> Picture:
        """Return the (H, W) numbers of the colours that are nearest to those of a picture, to 6 bits per channel."""
        return self._nearest[_cell(picture)]


def _cell(colours: Picture) -> NDArray[np.intp]:
    """Return which of 64 x 64 x 64 cells colours (..., 3 or 4) lie in."""
    red, green, blue = ((colours[..., channel] >> 2).astype(np.intp) for channel in range(3))
    cell: NDArray[np.intp] = red * 4096 + green * 64 + blue
    return cell


def _kept_frames(frames: Iterable[Picture], fps: float) -> Iterator[tuple[Picture, int]]:
    """Yield the frames to show, each with how long in hundredths of a second."""
    held: Picture | None = None
    begin, number = 0, 0
    for number, picture in enumerate(frames):
        now = _tick(number, fps)
        if held is not None:
            if now - begin < _SHORTEST:
                continue
            yield held, now - begin
        held, begin = picture, now
    if held is not None:
        yield held, max(_SHORTEST, _tick(number + 1, fps) - begin)


def _tick(frame: int, fps: float) -> int:
    return math.floor(_TICKS * frame / fps + 0.5)


def _changed(before: Picture | None, now: Picture) -> tuple[int, int, int, int]:
    """Return the rectangle (left, top, right, bottom) in which two pictures differ; one pixel if they do not."""
    if before is None:
        return 0, 0, now.shape[1], now.shape[0]
    differs = before != now
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    if not len(rows):
        return 0, 0, 1, 1
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
