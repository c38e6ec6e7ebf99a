from __future__ import annotations

import lzma
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from liftpose.errors import LiftposeError
from liftpose.formats.bvh import BVH, read_bvh
from liftpose.formats.motion_files import axis_rotations, read_lines

ANGLES = ((10.0, -35.0, 120.0), (-80.0, 20.0, 5.0))


def arm(order: str = "ZXY", angles: tuple[tuple[float, ...], ...] = ANGLES) -> str:
    """A root with one child and its end site; both joints turn by the same angles, one frame for each triple."""
    channels = " ".join(f"{axis}rotation" for axis in order)
    rows = [f"1 2 3 {' '.join(map(str, triple))} {' '.join(map(str, triple))}" for triple in angles]
    return "\n".join(
        [
            "HIERARCHY",
            "ROOT Base",
            "{",
            "  OFFSET 9 9 9",
            f"  CHANNELS 6 Xposition Yposition Zposition {channels}",
            "  JOINT Upper arm",
            "  {",
            "    OFFSET 0.5 0 0.25",
            f"    CHANNELS 3 {channels}",
            "    End Site",
            "    {",
            "      OFFSET 0 2 0",
            "    }",
            "  }",
            "}",
            "MOTION",
            f"Frames: {len(rows)}",
            "Frame Time: 0.02",
            *rows,
            "",
        ]
    )


def write(folder: Path, text: str, name: str = "clip.bvh") -> Path:
    path = folder / name
    path.write_bytes(lzma.compress(text.encode()) if name.endswith(".xz") else text.encode())
    return path


def test_a_quarter_turn_moves_the_arm_as_one_works_out_by_hand(tmp_path: Path) -> None:
    bvh = read_bvh(write(tmp_path, arm("ZXY", ((90.0, 0.0, 0.0),))))
    assert bvh.names == ("Base", "Upper arm", "Upper arm/end")
    assert bvh.parents == (-1, 0, 1)
    assert bvh.frame_time == 0.02
    # About z: (0.5, 0, 0.25) becomes (0, 0.5, 0.25); turned twice, (0, 2, 0) becomes (0, -2, 0).
    np.testing.assert_allclose(bvh.positions()[0], [[1, 2, 3], [1, 2.5, 3.25], [1, 0.5, 3.25]], atol=1e-12)


@pytest.mark.parametrize("order", ["".join(p) for p in permutations("XYZ")])
def test_every_channel_order_agrees_with_scipy(tmp_path: Path, order: str) -> None:
    positions = read_bvh(write(tmp_path, arm(order))).positions()
    for frame, triple in enumerate(ANGLES):
        # Capital letters: successive rotations about the turned axes, that is the product in the order of the letters.
        local = Rotation.from_euler(order, triple, degrees=True)
        joint = np.array([1, 2, 3]) + local.apply([0.5, 0, 0.25])
        end = joint + (local * local).apply([0, 2, 0])
        np.testing.assert_allclose(positions[frame], [[1, 2, 3], joint, end], atol=1e-12)


def test_line_ends_and_compression_make_no_difference(tmp_path: Path) -> None:
    plain = read_bvh(write(tmp_path, arm()))
    for name, text in (
        ("dos.bvh", arm().replace("\n", "\r\n")),
        ("packed.bvh.xz", arm()),
        ("tabs.bvh", arm().replace(" ", "\t", 40)),
    ):
        other = read_bvh(write(tmp_path, text, name))
        np.testing.assert_array_equal(other.motion, plain.motion)
        np.testing.assert_array_equal(other.positions(), plain.positions())


def test_position_channels_take_the_place_of_the_offset(tmp_path: Path) -> None:
    text = (
        arm("ZYX", ((0.0, 0.0, 0.0),))
        .replace("CHANNELS 3 Z", "CHANNELS 4 Yposition Z")
        .replace("1 2 3 0", "1 2 3 0", 1)
    )
    lines = text.splitlines()
    lines[-1] = "1 2 3 0 0 0 7 0 0 0"
    positions = read_bvh(write(tmp_path, "\n".join(lines))).positions()
    np.testing.assert_allclose(positions[0, 1], [1.5, 9, 3.25])


def test_an_offset_can_be_corrected_and_a_wrong_name_is_told(tmp_path: Path) -> None:
    bvh = read_bvh(write(tmp_path, arm("ZYX", ((0.0, 0.0, 0.0),))))
    np.testing.assert_allclose(bvh.positions({"Upper arm": (0, 0, 1)})[0, 2], [1, 4, 4])
    np.testing.assert_allclose(bvh.offsets[1], [0.5, 0, 0.25])
    with pytest.raises(LiftposeError, match=r"clip\.bvh: expected one node called 'Elbow', found only Base"):
        bvh.positions({"Elbow": (0, 0, 1)})


@settings(max_examples=25)
@given(st.lists(st.tuples(*[st.floats(-360, 360)] * 6), min_size=1, max_size=5))
def test_bones_keep_their_length_whatever_the_angles(angles: list[tuple[float, ...]]) -> None:
    channels = (
        ("Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation", "Yrotation"),
        ("Yrotation", "Zrotation", "Xrotation"),
        (),
    )
    motion = np.concatenate([np.ones((len(angles), 3)), np.array(angles)], axis=1)
    bvh = BVH(
        Path("x"), ("a", "b", "c"), (-1, 0, 1), np.array([[0, 0, 0], [3, 0, 4], [0, 5, 12.0]]), channels, 0.01, motion
    )
    positions = bvh.positions()
    np.testing.assert_allclose(np.linalg.norm(np.diff(positions, axis=1), axis=-1), [[5, 13]] * len(angles), rtol=1e-12)


def test_axis_rotations_are_rotations() -> None:
    matrices = axis_rotations("XYZX", np.random.default_rng(0).uniform(-180, 180, (50, 4)))
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (50, 3, 3)), atol=1e-14
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("HIERARCHY", "HIERARCHIE"), r"line 1: expected HIERARCHY, found 'HIERARCHIE'"),
        (("  OFFSET 9 9 9", "  OFFSET 9 9"), r"line 4: expected 3 numbers, found 2"),
        (("OFFSET 0 2 0", "OFFSET 0 two 0"), r"line 12: expected a number, found 'two'"),
        (("CHANNELS 3", "CHANNELS 2"), r"line 9: expected the number of channels"),
        (("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation"), r"line 9: expected the number of channels"),
        (("    End Site", "    Ende"), r"line 10: expected JOINT, End Site or }, found 'Ende'"),
        (("Frames: 2", "Frames: two"), r"line 17: expected a number of frames above 0, found 'two'"),
        (("Frames: 2", "Frames: 3"), r"line 20: expected the end of 3 frames, found 2"),
        (("Frame Time: 0.02", "Frame Time: 0"), r"line 18: expected a frame time above 0 s, found 0"),
        (("-80.0 20.0 5.0", "-80.0 nan 5.0"), r"line 20: expected a finite number, found nan"),
        (("-80.0 20.0 5.0", "-80.0 x 5.0"), r"line 20: expected a number, found 'x'"),
        (("-80.0 20.0 5.0", "-80.0 5.0"), r"line 20: expected 9 numbers, found 8"),
    ],
)  # fmt: skip
def test_a_broken_file_is_told_in_one_line_with_its_number(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    assert change[0] in arm()
    with pytest.raises(LiftposeError, match=message) as caught:
        read_bvh(write(tmp_path, arm().replace(*change, 1)))
    assert "clip.bvh" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lines", range(19))
def test_a_file_that_ends_early_is_told_wherever_it_ends(tmp_path: Path, lines: int) -> None:
    with pytest.raises(LiftposeError, match="expected"):
        read_bvh(write(tmp_path, "\n".join(arm().splitlines()[:lines])))


def test_missing_damaged_and_oversized_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match="found no such file"):
        read_bvh(tmp_path / "none.bvh")
    packed = lzma.compress(arm().encode())
    (tmp_path / "cut.bvh.xz").write_bytes(packed[:-20])
    (tmp_path / "noise.bvh.xz").write_bytes(b"not xz at all")
    for name in ("cut.bvh.xz", "noise.bvh.xz"):
        with pytest.raises(LiftposeError, match="expected a whole xz-compressed file"):
            read_bvh(tmp_path / name)
    bomb = tmp_path / "bomb.bvh.xz"
    bomb.write_bytes(lzma.compress(b"0" * 100_000))
    with pytest.raises(LiftposeError, match="expected at most 1000 bytes of text, found more"):
        read_lines(bomb, max_bytes=1000)
