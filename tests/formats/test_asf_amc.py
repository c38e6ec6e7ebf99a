from __future__ import annotations

import io
import lzma
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from liftpose.errors import LiftposeError
from liftpose.formats.asf_amc import read_amc, read_asf

ASF = """# written for a test
:version 1.10
:units
  mass 1.0
  length 0.45
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name thigh
     direction 0 -1 0
     length 4
     axis 10 20 30 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
     id 2
     name shank
     direction 0.6 -0.8 0
     length 5
     axis 0 0 20 XYZ
    dof rx rz
    limits (-10.0 170.0)
           (-10.0 170.0)
  end
  begin
     id 3
     name foot
     direction 0 0 1
     length 2
     axis 0 0 0 XYZ
  end
:hierarchy
  begin
    shank foot
    root thigh
    thigh shank
  end
"""

AMC = """#!OML:ASF somewhere
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 10 -20 30
thigh 5 6 7
shank -40 2.4e-015
2
root 1 2 3 0 0 0
thigh 0 0 0
shank 90 0
"""


def write(folder: Path, asf: str = ASF, amc: str = AMC) -> tuple[Path, Path]:
    (folder / "body.asf").write_text(asf)
    (folder / "clip.amc").write_text(amc)
    return folder / "body.asf", folder / "clip.amc"


def test_bones_are_sorted_and_rest_where_the_directions_point(tmp_path: Path) -> None:
    asf, amc = write(tmp_path)
    motion = read_amc(amc, read_asf(asf))
    assert motion.names == ("root", "thigh", "shank", "foot")
    assert motion.skeleton.parents == (-1, 0, 1, 2)
    positions = motion.positions()[1]
    # Nothing turns but the knee, 90 degrees about the x axis of a frame that is turned 20 degrees about z.
    turned = Rotation.from_rotvec(np.radians(90) * np.array([np.cos(np.radians(20)), np.sin(np.radians(20)), 0]))
    knee = np.array([1, 2 - 4, 3])
    ankle = knee + turned.apply([3, -4, 0])
    np.testing.assert_allclose(positions, [[1, 2, 3], knee, ankle, ankle + turned.apply([0, 0, 2])], atol=1e-12)


def test_turned_bones_agree_with_scipy(tmp_path: Path) -> None:
    asf, amc = write(tmp_path)
    positions = read_amc(amc, read_asf(asf)).positions()[0]

    def fixed(*angles: float) -> Rotation:
        # Small letters: about the fixed axes, x first, which is the product Rz Ry Rx.
        return Rotation.from_euler("xyz", angles, degrees=True)

    root = fixed(10, -20, 30)
    c1, c2 = fixed(10, 20, 30), fixed(0, 0, 20)
    thigh = root * c1 * fixed(5, 6, 7) * c1.inv()
    shank = thigh * c2 * fixed(-40, 0, 0) * c2.inv()
    knee = np.array([1, 2, 3]) + thigh.apply([0, -4, 0])
    ankle = knee + shank.apply([3, -4, 0])
    np.testing.assert_allclose(positions, [[1, 2, 3], knee, ankle, ankle + shank.apply([0, 0, 2])], atol=1e-12)


def test_the_order_of_the_root_numbers_is_the_skeletons(tmp_path: Path) -> None:
    plain = read_amc(write(tmp_path)[1], read_asf(write(tmp_path)[0])).positions()
    asf, amc = write(
        tmp_path,
        ASF.replace("TX TY TZ RX RY RZ", "RX RY RZ TZ TY TX"),
        AMC.replace("1 2 3 10 -20 30", "10 -20 30 3 2 1"),
    )
    np.testing.assert_allclose(read_amc(amc, read_asf(asf)).positions()[0], plain[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("angle deg", "angle rad"), r"line 6: expected angles in deg, found rad"),
        (("position 0 0 0", "position 0 1 0"), r"line 10: expected a root position of 0 0 0, found 0 1 0"),
        (("order TX TY", "order TX TX"), r"line 8: expected the order of TX TY TZ RX RY RZ"),
        (("dof rx rz", "dof rx tz"), r"line 24: expected a dof out of rx, ry, rz, found rx tz"),
        (("axis 0 0 20 XYZ", "axis 0 0 20"), r"line 24: expected 'axis A B C XYZ', found 'axis 0 0 20'"),
        (("     length 5\n", ""), r"line 24: expected a bone with length"),
        (("direction 0 0 1", "direction 0 0 inf"), r"expected a finite number, found inf"),
        (("root thigh", "root hip"), r"expected :hierarchy to name bones of :bonedata, found 'hip'"),
        (("thigh shank", "foot root"), r"expected :hierarchy to name bones of :bonedata, found 'root'"),
        (("thigh shank", "foot shank"), r"expected every bone to hang on the root, found shank, foot elsewhere"),
        ((":hierarchy", ":nothing"), r"expected the sections :bonedata and :hierarchy, found one of them"),
    ],
)  # fmt: skip
def test_a_broken_skeleton_is_told(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in ASF
    with pytest.raises(LiftposeError, match=message) as caught:
        read_asf(write(tmp_path, ASF.replace(*change, 1))[0])
    assert "body.asf" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((":DEGREES", ":RADIANS"), r"line 4: expected :DEGREES before the first frame, found '1'"),
        (("thigh 5 6 7", "thigh 5 6"), r"line 6: expected 3 numbers for thigh, found 2"),
        (("thigh 5 6 7", "thigh 5 nan 7"), r"line 6: expected a finite number, found nan"),
        (("thigh 5 6 7", "thigh 5 6,7 8"), r"line 6: expected a number, found '6,7'"),
        (("thigh 5 6 7", "hip 5 6 7"), r"line 6: expected one line per bone of body\.asf after a frame number"),
        (("thigh 5 6 7\n", ""), r"line 7: expected frame 1 to have a line for every bone, found none for thigh"),
        (("shank 90 0\n", ""), r"line 10: expected frame 2 to have a line for every bone, found none for shank"),
        ((AMC[AMC.index("1\n") :], ""), r"expected frames after :DEGREES, found none"),
    ],
)  # fmt: skip
def test_a_broken_motion_is_told(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in AMC
    asf, amc = write(tmp_path, amc=AMC.replace(*change, 1))
    with pytest.raises(LiftposeError, match=message) as caught:
        read_amc(amc, read_asf(asf))
    assert "clip.amc" in str(caught.value)


def test_bones_end_where_an_independent_reader_of_the_marker_file_finds_them(reference: Path) -> None:
    c3d = pytest.importorskip("c3d")

    class Reader(c3d.Reader):
        def _check_metadata(self) -> None:
            """The file claims five analogue samples a frame, of none; the package would refuse it for that."""

    cmu = reference / "data_real" / "cmu"
    motion = read_amc(cmu / "reference" / "05_13.amc.xz", read_asf(cmu / "skeletons" / "05.asf"))
    reader = Reader(io.BytesIO(lzma.open(cmu / "reference" / "05_13.c3d.xz").read()))
    labels = [label.split(":")[-1].strip() for label in reader.point_labels]
    points = np.stack([points[:, :3] for _, points, _ in reader.read_frames()])
    assert len(points) == len(motion) == 1095
    metres = motion.positions() * 0.0254 / 0.45
    sided = {"HJ0": "hipjoint", "FE0": "femur", "TI0": "tibia", "CL0": "clavicle", "HU0": "humerus", "WR0": "wrist"}
    pairs = {side + label: side.lower() + bone for label, bone in sided.items() for side in "LR"}
    pairs |= {"PEL0": "root", "LBK0": "lowerback", "UBK0": "upperback", "TRX0": "thorax"}
    pairs |= {"LNK0": "lowerneck", "UNK0": "upperneck", "HED0": "head"}
    for label, bone in pairs.items():
        # The marker file is in millimetres with z up: (x, y, z) of the skeleton is its (y, z, x).
        truth = points[:, labels.index(label)][:, [1, 2, 0]] / 1000
        # Its points are whole multiples of 0.096 mm.
        assert np.abs(metres[:, motion.index(bone)] - truth).max() < 1.2e-4, label
