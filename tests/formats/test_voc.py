"""Objects of Pascal VOC, cut out of pictures painted here and checked by scipy."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from liftpose.errors import LiftposeError
from liftpose.formats import voc
from liftpose.formats.voc import OCCLUDERS_FILE, read_voc_occluders

SIZE = (120, 160)
BOXES = ((10, 12, 60, 72), (80, 30, 140, 90), (62, 5, 78, 25), (100, 95, 150, 118))
SIDES = ("xmin", "ymin", "xmax", "ymax")
NAMES = ("dog", "chair", "person", "cat")


def annotation(name: str, objects: str, segmented: int = 1) -> str:
    return (
        f"<annotation><folder>VOC2012</folder><filename>{name}.jpg</filename><segmented>{segmented}</segmented>"
        f"{objects}</annotation>"
    )


def one(name: str, box: tuple[int, ...], extra: str = "") -> str:
    corners = "".join(f"<{side}>{value}</{side}>" for side, value in zip(SIDES, box, strict=False))
    return (
        f"<object><name>{name}</name>{extra}<bndbox>{corners}</bndbox>"
        "<part><name>head</name><bndbox><xmin>1.5</xmin></bndbox></part></object>"
    )


def write(root: Path) -> Path:
    """A picture with four objects: an ellipse, an L, a person, a small one; and two pictures that give none."""
    for folder in ("Annotations", "JPEGImages", "SegmentationObject"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (8, 10, 3), dtype=np.uint8), SIZE[::-1])
    Image.fromarray(picture).save(root / "JPEGImages" / "a.jpg", quality=95)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    labels = np.zeros(SIZE, np.uint8)
    labels[((columns - 35) / 24) ** 2 + ((rows - 42) / 29) ** 2 < 1] = 1
    labels[30:90, 80:100] = labels[70:90, 80:140] = 2
    labels[5:25, 62:78] = 3
    labels[95:105, 100:120] = 4  # 200 pixels
    mask = Image.fromarray(labels, "P")
    mask.putpalette([value for colour in range(256) for value in (colour, 255 - colour, 7)])
    mask.save(root / "SegmentationObject" / "a.png")
    objects = "".join(one(name, box) for name, box in zip(NAMES, BOXES, strict=True))
    objects += one("sofa", BOXES[0], "<difficult>1</difficult>") + one("sofa", BOXES[0], "<truncated>1</truncated>")
    (root / "Annotations" / "a.xml").write_text(annotation("a", objects))
    (root / "Annotations" / "b.xml").write_text(annotation("b", one("dog", BOXES[0]), segmented=0))
    (root / "Annotations" / "c.xml").write_text(annotation("c", one("person", BOXES[0])))
    for name in ("b", "c"):
        Image.fromarray(picture).save(root / "JPEGImages" / f"{name}.jpg")
        mask.save(root / "SegmentationObject" / f"{name}.png")
    return root


def test_objects_are_cut_out_with_a_softer_rim(tmp_path: Path) -> None:
    crops = read_voc_occluders(write(tmp_path / "VOC2012"))
    assert [crop.shape for crop in crops] == [(30, 25, 4), (30, 30, 4)]
    picture = np.asarray(Image.open(tmp_path / "VOC2012" / "JPEGImages" / "a.jpg").convert("RGB"), dtype=float)
    labels = np.asarray(Image.open(tmp_path / "VOC2012" / "SegmentationObject" / "a.png"))
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (8, 8)).astype(bool)
    for number, crop in enumerate(crops):
        left, top, right, bottom = BOXES[number]
        mask = labels[top:bottom, left:right] == number + 1
        kept = scipy.ndimage.binary_erosion(mask, ellipse, border_value=1)
        opacity = np.where(kept, 255, np.where(mask, 192, 0)).astype(float)
        both = np.concatenate((picture[top:bottom, left:right], opacity[..., None]), axis=-1)
        halves = both.reshape(both.shape[0] // 2, 2, both.shape[1] // 2, 2, 4).mean(axis=(1, 3))
        np.testing.assert_allclose(crop.astype(float), halves, atol=0.51)
        assert set(np.unique(crop[..., 3])) >= {0, 192, 255}


def test_the_published_halves(reference: Path) -> None:
    with np.load(reference / "golden" / "epipolar" / "patch.npz") as golden:
        occluder, half = golden["occluder"], golden["occ_half"]
    assert (occluder[..., 3] > 0).any()
    found = cv2.resize(occluder, (round(occluder.shape[1] * 0.5), round(occluder.shape[0] * 0.5)), interpolation=3)
    np.testing.assert_array_equal(found, half)
    opaque = np.full(occluder.shape[:2], 255, np.uint8)
    np.testing.assert_array_equal(voc._crop(occluder[..., :3], opaque)[..., :3], half[..., :3])


def test_the_second_time_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "VOC2012")
    crops = read_voc_occluders(tmp_path)  # the folder above is found too

    def fail(*_: object) -> None:
        raise AssertionError("a picture was decoded")

    with monkeypatch.context() as patched:
        patched.setattr(voc, "read_picture", fail)
        for path in (folder, folder / OCCLUDERS_FILE):
            for found, expected in zip(read_voc_occluders(path), crops, strict=True):
                np.testing.assert_array_equal(found, expected)
    # Other annotations, or a broken cache: made anew.
    (folder / "Annotations" / "a.xml").write_text(annotation("a", one("dog", BOXES[0])))
    assert len(read_voc_occluders(folder)) == 1
    (folder / OCCLUDERS_FILE).write_bytes(b"PK\x03\x04")
    assert len(read_voc_occluders(folder)) == 1


def test_a_folder_that_cannot_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "VOC2012")

    def refuse(*_: object) -> None:
        raise LiftposeError("read-only")

    monkeypatch.setattr(voc, "write_npz", refuse)
    assert len(read_voc_occluders(folder)) == 2
    assert not (folder / OCCLUDERS_FILE).exists()


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB + annotation("a", one("&c;", BOXES[0])), "expected an annotation of Pascal VOC, found one with decl"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "found one with declarations"),
        ("<annotation><segmented>1</segmented>", "expected XML, found it cut or damaged"),
        (annotation("../../a", one("dog", BOXES[0])), "expected the path of picture 0 inside"),
        (annotation("b/a", one("dog", BOXES[0])), "expected the name of a picture, found b/a"),
        (annotation("a", one("dog", (1, 2))), "expected a number, found None"),
        (annotation("a", one("dog", BOXES[0]).replace("<xmax>60", "<xmax>1e999")), "expected a number, found '1e999'"),
        (annotation("none", one("dog", BOXES[0])), "expected a picture, found no such file"),
    ],
)
def test_annotations_that_are_wrong_are_named(tmp_path: Path, content: str, message: str) -> None:
    folder = write(tmp_path / "VOC2012")
    (folder / "Annotations" / "a.xml").write_text(content)
    with pytest.raises(LiftposeError, match=message):
        read_voc_occluders(folder)


def test_utf_16_hides_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "VOC2012")
    text = '<?xml version="1.0" encoding="utf-16"?>' + BOMB + annotation("a", one("&c;", BOXES[0]))
    (folder / "Annotations" / "a.xml").write_bytes(text.encode("utf-16"))
    with pytest.raises(LiftposeError, match=r"a\.xml: expected XML, found it cut or damaged"):
        read_voc_occluders(folder)


def test_pictures_and_masks_that_are_wrong_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "VOC2012")
    mask = folder / "SegmentationObject" / "a.png"
    Image.new("P", (10, 10)).save(mask)
    with pytest.raises(LiftposeError, match=r"expected a mask of the picture's shape \(120, 160\), found \(10, 10\)"):
        read_voc_occluders(folder)
    Image.new("RGB", SIZE[::-1]).save(mask)
    with pytest.raises(LiftposeError, match=r"a\.png: expected a mask with a palette, found one of the mode RGB"):
        read_voc_occluders(folder)
    Image.new("P", SIZE[::-1], 3).save(mask)
    mask.write_bytes(mask.read_bytes()[:-40])
    with pytest.raises(LiftposeError, match=r"a\.png: expected a picture, found a file that cannot be decoded"):
        read_voc_occluders(folder)
    mask.unlink()
    with pytest.raises(LiftposeError, match=r"a\.png: expected a picture, found no such file"):
        read_voc_occluders(folder)


def test_folders_without_objects_are_named(tmp_path: Path) -> None:
    with pytest.raises(LiftposeError, match=r"expected the folder VOC2012 with Annotations.*found no such folder"):
        read_voc_occluders(tmp_path / "none")
    with pytest.raises(LiftposeError, match="found a folder without them"):
        read_voc_occluders(tmp_path)
    folder = write(tmp_path / "VOC2012")
    for name in ("a", "b"):
        (folder / "Annotations" / f"{name}.xml").unlink()
    with pytest.raises(LiftposeError, match="expected objects that are segmented, found none in 1 annotations"):
        read_voc_occluders(folder)
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(LiftposeError, match=r"other\.npz: expected objects cut out of Pascal VOC, found another"):
        read_voc_occluders(tmp_path / "other.npz")


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_annotations_give_objects_or_one_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged_voc"
    if not folder.exists():
        write(folder)
        (folder / "whole.xml").write_bytes((folder / "Annotations" / "a.xml").read_bytes())
    content = bytearray((folder / "whole.xml").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "Annotations" / "a.xml").write_bytes(content)
    try:
        read_voc_occluders(folder)
    except LiftposeError as error:
        assert "damaged_voc" in str(error)
