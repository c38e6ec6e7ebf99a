"""Pictures and annotations of Human3.6M from its official videos and 3D poses."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from liftpose.data.images import ImageSet
from liftpose.errors import LiftposeError
from liftpose.formats.h36m_official import field_action
from liftpose.formats.video import read_video, read_video_info
from liftpose.geometry import H36M_CAMERA_IDS, Camera, pelvis_boxes, tight_boxes
from liftpose.skeletons import H36M_17, H36M_32, adapt

__all__ = ["BoxKind", "H36MVideo", "annotate_videos", "extract_pictures", "find_videos"]

BoxKind = Literal["pelvis", "tight"]

_VIDEO: Final = re.compile(r"([^_.][^.]*)\.(\d{8})\.mp4")  # those of a whole session begin with an underscore
_QUALITY: Final = 95  # of JPEG

Poses = Mapping[str, Mapping[str, npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class H36MVideo:
    """One take, seen by one camera.

    Args:
        subject: Subject, such as ``S9``.
        action: The take by the field's name, such as ``Photo 1``.
        view: Index in :data:`liftpose.geometry.H36M_CAMERA_IDS`.
        path: The file.
        frames: Numbers of the frames that are wanted, from 0, rising.
    """

    subject: str
    action: str
    view: int
    path: Path
    frames: range

    @property
    def folder(self) -> str:
        """Folder of the pictures, as published."""
        take = self.action.replace(" ", "_")
        return f"images/{self.subject}/{take}.{H36M_CAMERA_IDS[self.view]}"

    def picture(self, frame: int) -> str:
        """Return the published name of a picture; it counts frames from 1.

        Args:
            frame: Number of the frame, from 0.
        """
        return f"{self.folder}/{frame + 1:06d}.jpg"


def find_videos(path: str | os.PathLike[str], poses: Poses, every: Mapping[str, int]) -> list[H36MVideo]:
    """Find the videos of takes that poses are there for.

    Args:
        path: Folder that holds ``S1/Videos``, ``S5/Videos`` and so on.
        poses: Subject -> action -> (N, 32, 3) metres, as :func:`liftpose.formats.h36m_official.read_official_h36m`
            gives them.
        every: Subject -> n, to take every n-th frame; other subjects are left out.

    Returns:
        The videos, by subject, take and camera.

    Raises:
        LiftposeError: A video is missing.
    """
    videos = []
    for subject, step in every.items():
        folder = Path(path) / subject / "Videos"
        found: dict[tuple[str, str], Path] = {}
        for file in sorted(folder.glob("*.mp4")):
            if match := _VIDEO.fullmatch(file.name):
                found[field_action(match[1]), match[2]] = file
        for action, pose in poses[subject].items():
            for view, camera in enumerate(H36M_CAMERA_IDS):
                if (action, camera) not in found:
                    raise LiftposeError(
                        f"{folder}: expected the video {action}.{camera}.mp4, found "
                        f"{f'{len(found)} others' if found else 'no videos'}"
                    )
                frames = range(0, len(pose), step)
                videos.append(H36MVideo(subject, action, view, found[action, camera], frames))
    return videos


def annotate_videos(
    root: str | os.PathLike[str],
    videos: list[H36MVideo],
    poses: Poses,
    cameras: Mapping[str, Camera],
    box: BoxKind = "pelvis",
) -> ImageSet:
    """Project the poses into the pictures.

    Args:
        root: Folder of the data set, which the names of the pictures are relative to.
        videos: Videos with the frames that pictures are made of.
        poses: Subject -> action -> (N, 32, 3) metres, world frame.
        cameras: Subject -> cameras of batch shape (4,).
        box: ``"pelvis"``: the published box, a square of 2 m around the pelvis, for which its true depth has to be
            known; ``"tight"``: a square around the joints, 1.25 times as large as they need.

    Returns:
        One row for each picture, 17 joints. Pixels are those of cameras without distortion, as in the published
        annotations, so that back-projecting them gives the pose; in Human3.6M the difference is 0.4 pixels in the mean.

    Raises:
        LiftposeError: A pose is behind a camera.
    """
    subjects = list(dict.fromkeys(video.subject for video in videos))
    columns: dict[str, list[npt.NDArray[np.float32]]] = {"keypoints": [], "boxes": [], "depths": [], "roots": []}
    for video in videos:
        camera = cameras[video.subject][video.view].to(dtype=torch.float64)
        world = adapt(
            poses[video.subject][video.action][video.frames.start : None : video.frames.step], H36M_32, H36M_17
        )
        joints = camera.to_camera(torch.from_numpy(np.ascontiguousarray(world)).double())
        if not bool((joints[..., 2] > 0).all()):
            raise LiftposeError(f"{video.path}: expected people in front of the camera, found joints behind it")
        K = camera.intrinsics
        pixels = torch.stack([K[0, 0], K[1, 1]]) * joints[..., :2] / joints[..., 2:] + K[:2, 2]
        pelvis = joints[:, H36M_17.root]
        boxes = pelvis_boxes(pelvis, K) if box == "pelvis" else tight_boxes(pixels, torch.ones_like(pixels[..., 0]))
        for name, column in {
            "keypoints": pixels,
            "boxes": boxes,
            "depths": joints[..., 2] - pelvis[:, None, 2],
            "roots": pelvis[:, 2],
        }.items():
            columns[name].append(column.float().numpy())
    counts = [len(video.frames) for video in videos]
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    views = np.repeat([video.view for video in videos], counts)
    rigs = np.repeat([subjects.index(video.subject) for video in videos], counts)
    every = [cameras[subject][view] for subject in subjects for view in range(len(H36M_CAMERA_IDS))]
    return ImageSet(
        root=Path(root),
        files=tuple(video.picture(frame) for video in videos for frame in video.frames),
        skeleton=H36M_17,
        boxes=joined["boxes"],
        keypoints_2d=joined["keypoints"],
        visible=np.ones(joined["depths"].shape, dtype=np.float32),
        subjects=tuple(video.subject for video in videos for _ in video.frames),
        actions=tuple(video.action for video in videos for _ in video.frames),
        views=views.astype(np.int64),
        frames=np.concatenate([np.asarray(video.frames, dtype=np.int64) + 1 for video in videos]),
        depths=joined["depths"],
        root_depths=joined["roots"],
        cameras=Camera.stack(every),
        camera_index=(rigs * len(H36M_CAMERA_IDS) + views).astype(np.int64),
    )


def extract_pictures(
    root: str | os.PathLike[str],
    videos: list[H36MVideo],
    cameras: Mapping[str, Camera],
    progress: Callable[[int, int, str], None] | None = None,
) -> int:
    """Write the wanted frames of videos as JPEG files; takes whose pictures are all there are left as they are.

    The pictures of a take appear under their names when the last of them has been written.

    Args:
        root: Folder of the data set.
        videos: Videos with the frames that pictures are made of.
        cameras: Subject -> cameras of batch shape (4,), which know the size of the pictures.
        progress: Called before each video with its number from 0, the number of videos, and its name.

    Returns:
        Number of pictures written.

    Raises:
        LiftposeError: A video is cut or damaged, ends before the last wanted frame, has another size than its camera,
            a file cannot be written, or PyAV is not installed.
    """
    written = 0
    for number, video in enumerate(videos):
        if progress:
            progress(number, len(videos), f"{video.subject} {video.action}, camera {video.view + 1}")
        folder = Path(root) / video.folder
        present = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
        if not {Path(video.picture(frame)).name for frame in video.frames} <= present:
            _check_video(video, cameras[video.subject][video.view])
            written += _extract(video, folder)
    if progress:
        progress(len(videos), len(videos), "pictures")
    return written


def _extract(video: H36MVideo, folder: Path) -> int:
    """Write the pictures of one video into a folder beside theirs, and move them when all are there."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        for frame, picture in _wanted(video):
            Image.fromarray(picture).save(partial / Path(video.picture(frame)).name, quality=_QUALITY)
        if folder.is_dir():
            for file in sorted(partial.iterdir()):
                file.replace(folder / file.name)
        else:
            partial.rename(folder)
    except OSError as error:
        raise LiftposeError(
            f"{folder}: expected to write pictures, found: {(error.strerror or str(error)).lower()}"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(video.frames)


def _check_video(video: H36MVideo, camera: Camera) -> None:
    """Refuse a video that is not the one that its poses and its camera belong to."""
    info = read_video_info(video.path)
    if info.frames <= video.frames[-1]:
        raise LiftposeError(
            f"{video.path}: expected {video.frames.stop} frames, as many as there are poses, found {info.frames} "
            "(a video that is cut?)"
        )
    expected = tuple(int(side) for side in camera.image_size.tolist())
    if (info.width, info.height) != expected:
        raise LiftposeError(
            f"{video.path}: expected pictures of {expected[0]} x {expected[1]} pixels, found "
            f"{info.width} x {info.height}"
        )


def _wanted(video: H36MVideo) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Decode a video and yield the frames that are wanted."""
    last = video.frames[-1]
    number = -1
    for number, picture in enumerate(read_video(video.path)):
        if number in video.frames:
            yield number, picture
        if number == last:
            return
    raise LiftposeError(
        f"{video.path}: expected {last + 1} frames that can be decoded, found {number + 1} (a video that is cut?)"
    )
