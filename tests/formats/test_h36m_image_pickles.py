"""The published annotations: made by Python's own pickle with a class of the published name, and the golden ones."""

from __future__ import annotations

import io
import os
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liftpose.data.images import ImageSet
from liftpose.errors import LiftposeError
from liftpose.formats.h36m_image_pickles import read_image_pickle
from liftpose.formats.pickled import load_pickled
from liftpose.geometry import H36M_CAMERA_IDS, h36m_cameras, picture_poses
from liftpose.skeletons import H36M_17, H36M_MPII_ORDER_16, MPII_16

MODULE = "lib.utils.cameras"


@pytest.fixture
def camera_class(monkeypatch: pytest.MonkeyPatch) -> type:
    """A class with the published name, to write with; it must not be needed, nor used, to read."""
    module: Any = types.ModuleType(MODULE)
    module.Camera = type("Camera", (), {"__module__": MODULE})
    for name in ("lib", "lib.utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, MODULE, module)
    found: type = module.Camera
    return found


@pytest.fixture
def without_class(camera_class: type) -> Iterator[type]:
    """The class, which fails whoever makes an object of it by its constructor."""

    def fail(*_: object) -> None:
        raise AssertionError("the class was used")

    camera_class.__setstate__ = fail  # type: ignore[attr-defined]
    yield camera_class


def records(camera_class: type, joints: int = 17, frames: int = 3) -> dict[int, list[dict[str, Any]]]:
    """Somebody of S9 seen by the four real cameras, in the published layout."""
    rng = np.random.default_rng(5)
    cameras = h36m_cameras("S9", torch.float64)
    world = rng.normal(0, 0.3, (frames, joints, 3)) + np.array([0, 0, 1])
    root = H36M_17.root if joints == 17 else MPII_16.root
    content: dict[int, list[dict[str, Any]]] = {1: [], 2: [], 3: [], 4: []}
    for view, number in enumerate(H36M_CAMERA_IDS):
        R, t, K = (getattr(cameras, name)[view].numpy() for name in ("R", "t", "intrinsics"))
        cam: Any = camera_class()
        cam.R, cam.T = R, -1000 * (R.T @ t)[:, None]
        cam.f, cam.c = np.array([[K[0, 0]], [K[1, 1]]]), np.array([K[0, 2], K[1, 2]])
        k1, k2, k3, t0, t1 = cameras.distortion[view].tolist()
        cam.k, cam.p = np.array([[k1], [k2], [k3]]), np.array([t1, t0])
        cam.name, cam.cam_params = number, (R, None, "text")
        for frame in range(frames):
            points = world[frame] @ R.T + t
            pixels = points[:, :2] / points[:, 2:] * [K[0, 0], K[1, 1]] + K[:2, 2]
            content[view + 1].append(
                {
                    "image": f"images/S9/Photo_1.{number}/{64 * frame + 1:06d}.jpg",
                    "center_x": np.float64(pixels[root, 0]), "center_y": float(pixels[root, 1]),
                    "width": 400.0, "height": np.float32(390),
                    "joints_3d": np.concatenate((pixels, 1000 * (points[:, 2:] - points[root, 2])), axis=1),
                    "joints_3d_vis": np.ones((joints, 3)),
                    "pelvis": 1000 * points[root], "fl": cam.f, "c_p": cam.c, "cam": cam,
                    "flip_pairs": np.array(
                        [[1, 4], [2, 5], [3, 6], [14, 11], [15, 12], [16, 13]] if joints == 17
                        else [[0, 5], [1, 4], [2, 3], [10, 15], [11, 14], [12, 13]]
                    ),
                    "subject": 9, "action": "Photo",
                }
            )  # fmt: skip
    return content


def spread(images: ImageSet) -> float:
    """How far apart the poses are that the views of one frame give, in metres."""
    assert images.cameras is not None
    assert images.depths is not None
    assert images.root_depths is not None
    cameras = images.cameras[torch.from_numpy(images.camera_index)].to(dtype=torch.float64)
    numbers = [torch.from_numpy(column).double() for column in (images.keypoints_2d, images.depths, images.root_depths)]
    world = cameras.to_world(picture_poses(*numbers, cameras.intrinsics)).numpy()
    worst = 0.0
    for frame in set(images.frames.tolist()):
        poses = world[images.frames == frame]
        assert len(poses) == 4
        worst = max(worst, float(np.abs(poses - poses[0]).max()))
    return worst


def dump(path: Path, value: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_gives_the_numbers_of_the_records(tmp_path: Path, camera_class: type, protocol: int) -> None:
    content = records(camera_class)
    path = dump(tmp_path / "valid.pkl", content, protocol)
    images = read_image_pickle(path, tmp_path)
    flat = [record for view in content.values() for record in view]
    assert images.files == tuple(record["image"] for record in flat)
    assert images.skeleton is H36M_17
    np.testing.assert_array_equal(images.frames, [1, 65, 129] * 4)
    np.testing.assert_array_equal(images.views, np.repeat(range(4), 3))
    assert set(images.subjects) == {"S9"}
    assert set(images.actions) == {"Photo 1"}
    joints = np.stack([record["joints_3d"] for record in flat])
    np.testing.assert_allclose(images.keypoints_2d, joints[..., :2], rtol=1e-6)
    np.testing.assert_allclose(images.depths, joints[..., 2] / 1000, atol=1e-6)
    np.testing.assert_allclose(images.boxes[:, 3], 390)
    known = h36m_cameras("S9")
    assert images.cameras is not None
    for name in ("R", "t", "intrinsics", "distortion", "image_size"):
        torch.testing.assert_close(getattr(images.cameras, name), getattr(known, name), rtol=1e-6, atol=1e-6)
    assert images.cameras.distortion_model == "h36m"
    assert spread(images) < 2e-5


def test_the_class_is_never_used(tmp_path: Path, without_class: type, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dump(tmp_path / "valid.pkl", records(without_class))
    assert len(read_image_pickle(path, tmp_path)) == 12
    monkeypatch.delitem(sys.modules, MODULE)
    assert len(read_image_pickle(path, tmp_path)) == 12


def test_sixteen_joints_are_what_one_says(tmp_path: Path, camera_class: type) -> None:
    path = dump(tmp_path / "train-ss.pkl", records(camera_class, joints=16))
    assert read_image_pickle(path, tmp_path).skeleton is H36M_MPII_ORDER_16
    images = read_image_pickle(path, tmp_path, sixteen=MPII_16)
    assert images.skeleton is MPII_16
    assert spread(images) < 2e-5


def test_lists_from_archives_and_names_of_other_forms(tmp_path: Path, camera_class: type) -> None:
    flat = records(camera_class)[2]
    for number, record in enumerate(flat):
        record["image"], record["cam"].k, record["cam"].p = f"somewhere/{number}.png", None, None
    images = read_image_pickle("data.zip: a.pkl", tmp_path, stream=io.BytesIO(pickle.dumps(flat)))
    assert (images.subjects[0], images.actions[0], images.views[0]) == ("S9", "Photo", 0)
    np.testing.assert_array_equal(images.frames, [0, 1, 2])
    assert images.cameras is not None
    assert images.cameras.distortion_model == "none"


def test_joints_without_weight_may_be_unknown(tmp_path: Path, camera_class: type) -> None:
    content = records(camera_class)
    record = content[1][1]
    record["joints_3d"][5], record["joints_3d_vis"][5] = np.nan, 0
    record["joints_3d_vis"][6, 2] = 0  # no depth
    images = read_image_pickle(dump(tmp_path / "a.pkl", content), tmp_path)
    assert images.depths is not None
    assert images.visible[1].tolist() == [1] * 5 + [0] + [1] * 11
    np.testing.assert_array_equal(np.isnan(images.depths[1]), [joint in {5, 6} for joint in range(17)])


@pytest.mark.parametrize("golden", ["annot_dict.pkl", "annot_list.pkl"])
def test_golden_files(reference: Path, golden: str, tmp_path: Path, camera_class: type) -> None:
    path = reference / "golden" / "epipolar" / golden
    content: Any = pickle.loads(path.read_bytes())  # noqa: S301 - with the class of this test
    images = read_image_pickle(path, tmp_path)
    flat = content if isinstance(content, list) else [record for view in content.values() for record in view]
    assert len(images) == len(flat)
    assert len(images.skeleton) == (16 if "dict" in golden else 17)
    assert images.cameras is not None
    for row, record in enumerate(flat):
        camera = images.cameras[int(images.camera_index[row])]
        matrix = record["cam"].projection_matrix / [1, 1, 1, 1000]  # metres
        np.testing.assert_allclose(camera.projection_matrix.numpy(), matrix, rtol=1e-5, atol=1e-3)
        np.testing.assert_allclose(images.keypoints_2d[row], record["joints_3d"][:, :2], rtol=1e-6)
        np.testing.assert_allclose(images.root_depths[row], record["pelvis"][2] / 1000, rtol=1e-6)
    assert spread(images) < 2e-5


class Evil:
    """Runs a command when Python's own unpickler reads it."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def test_other_classes_are_refused_and_nothing_is_run(tmp_path: Path, camera_class: type) -> None:
    mark = tmp_path / "mark"
    content: Any = records(camera_class)
    content[1][0]["extra"] = Evil(f"touch {mark}")
    path = dump(tmp_path / "a.pkl", content)
    message = r"a\.pkl: expected annotations of Human3\.6M pictures, found the name posix\.system, which could run"
    with pytest.raises(LiftposeError, match=message):
        read_image_pickle(path, tmp_path)
    content[1][0]["cam"].extra = content[1][0].pop("extra")
    with pytest.raises(LiftposeError, match=r"the name posix\.system"):
        read_image_pickle(dump(path, content), tmp_path)
    assert not mark.exists()
    for name in (f"c{MODULE}\nos\n.", "clib.utils.cameras\nCamera.__init__\n.", "cbuiltins\neval\n."):
        with pytest.raises(pickle.UnpicklingError, match="which could run anything"):
            load_pickled(io.BytesIO(name.encode()), [(MODULE, "Camera")])


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02clib.utils.cameras\nCamera\n}(U\x01aK\x01ub.",  # a change to the class itself
        b"\x80\x02clib.utils.cameras\nCamera\nK\x01\x85\x81.",  # an object made with an argument
        b"\x80\x02cnumpy\nndarray\n)\x81.",  # an array made as an object
        b"\x80\x02clib.utils.cameras\nCamera\n)\x81K\x01b.",  # attributes that are a number
        b"\x80\x02clib.utils.cameras\nCamera\n.",  # the class as a value
        b"ccopyreg\n_reconstructor\n(cnumpy\nndarray\ncbuiltins\nobject\nNtR.",
    ],
)
def test_programs_that_misuse_the_record_are_refused(program: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError):
        load_pickled(io.BytesIO(program), [(MODULE, "Camera")])
    # The same names mean nothing where no records are expected.
    with pytest.raises(pickle.UnpicklingError):
        load_pickled(io.BytesIO(program))


def test_a_record_that_holds_itself_is_refused() -> None:
    program = b"\x80\x02clib.utils.cameras\nCamera\n)\x81q\x00}U\x01ah\x00sb."
    with pytest.raises(pickle.UnpicklingError, match="nested more than"):
        load_pickled(io.BytesIO(program), [(MODULE, "Camera")])


def change(content: dict[int, Any], name: str, value: Any) -> None:
    content[2][1][name] = value


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("joints_3d", np.zeros((14, 3)), r"expected joints_3d of shape \(17, 3\), found an array of shape \(14, 3\)"),
        ("joints_3d", np.full((17, 3), np.nan), r"expected finite joints_3d, found others of picture 4 \(images/S9/"),
        ("joints_3d_vis", None, r"expected joints_3d_vis of shape \(17, 3\), found nothing of picture 4"),
        ("width", 0.0, "expected a box with an area"),
        ("center_x", np.inf, "expected finite center_x, found others of picture 4"),
        ("pelvis", np.array([0, 0, -5.0]), "expected a root in front of the camera"),
        ("image", "../../a.jpg", "expected the path of picture 4 inside the folder"),
        ("image", 3, "expected the path of picture 4 inside the folder"),
        ("cam", {"R": np.eye(3)}, "camera of picture 4: expected 3 numbers as T, found nothing"),
        ("cam", None, "camera of picture 4: expected an object of the published class Camera, found nothing"),
    ],
)  # fmt: skip
def test_records_that_do_not_fit_are_named(
    tmp_path: Path, camera_class: type, name: str, value: Any, message: str
) -> None:
    content = records(camera_class)
    change(content, name, value)
    with pytest.raises(LiftposeError, match=rf"a\.pkl: {message}"):
        read_image_pickle(dump(tmp_path / "a.pkl", content), tmp_path)


def test_other_contents_are_named(tmp_path: Path, camera_class: type) -> None:
    content = records(camera_class)
    short = {**content, 3: content[3][:2]}
    missing = [{key: value for key, value in content[1][0].items() if key != "cam"}]
    swapped = [{**content[1][0], "flip_pairs": [[0, 5], [1, 4], [2, 3], [10, 15], [11, 14], [12, 13]]}]
    for value, message in (
        (short, "expected as many pictures of every camera, found 3, 3, 2, 3"),
        ({1: []}, "expected lists of records under 1 to 4, found 1"),
        ([], "expected annotations of pictures, found none"),
        ([3], "expected a record of picture 0, found a int"),
        (missing, "expected cam of picture 0, found image, center_x"),
        (swapped, r"expected flip_pairs \[\[1, 4\].* of h36m_17, found \[\[0, 5\]"),
        ("text", "expected a list of records, found a str"),
    ):
        with pytest.raises(LiftposeError, match=rf"a\.pkl: {message}"):
            read_image_pickle(dump(tmp_path / "a.pkl", value), tmp_path)
    with pytest.raises(LiftposeError, match="found no such file"):
        read_image_pickle(tmp_path / "b.pkl", tmp_path)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_gives_a_set_or_one_line(data: st.DataObject, camera_class: type) -> None:
    content = bytearray(pickle.dumps(records(camera_class, frames=1), protocol=data.draw(st.sampled_from([0, 2, 4]))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    try:
        read_image_pickle("damaged.pkl", ".", stream=io.BytesIO(content))
    except LiftposeError as error:
        assert "damaged.pkl" in str(error)
