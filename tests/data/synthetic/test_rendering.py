"""Painted people: shapes against a ray caster that knows balls only, joints inside their limbs, faces in front."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from liftpose.data.synthetic import CAPTURE_CENTRE, synthetic_take
from liftpose.data.synthetic.clothing import Outfit, dress
from liftpose.data.synthetic.photograph import make_build
from liftpose.data.synthetic.rendering import Light, View, paint_people, view_of
from liftpose.data.synthetic.scenes import make_light, make_room, paint_room
from liftpose.data.synthetic.shapes import SHAPES, Shapes, body_shapes, mpii_joints
from liftpose.data.synthetic.studio import studio_cameras
from liftpose.geometry import Camera
from liftpose.skeletons import H36M_17, MPII_16

SIZE = 96
Array = npt.NDArray[np.float64]
DARK = Light(np.array([0.0, 0.0, 1.0]), ambient=1.0, colour=np.ones(3), shadow=0.0)


def camera(focal: float = 120.0) -> Camera:
    """A camera whose frame is the world frame but for the floor, which is up: z of the world is its y."""
    intrinsics = torch.tensor([[focal, 0, 47.5], [0, focal, 47.5], [0, 0, 1]], dtype=torch.float64)
    rotation = torch.tensor([[1, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
    zeros, size = torch.zeros(5, dtype=torch.float64), torch.tensor([SIZE, SIZE], dtype=torch.float64)
    return Camera(rotation, torch.zeros(3, dtype=torch.float64), intrinsics, zeros, "none", size)


def cone(start: Array, end: Array, radii: tuple[float, float], across: Array, flatness: float) -> Shapes:
    front = np.array([[[0.0, -1.0, 0.0]]])
    return Shapes(
        start[None, None], end[None, None], np.array([radii]), across[None, None], np.array([flatness]), front
    )


def joined(*shapes: Shapes) -> Shapes:
    return Shapes(
        *(np.concatenate([getattr(s, n) for s in shapes], axis=0 if n in {"radii", "flatness"} else 1)
          for n in Shapes._fields)
    )  # fmt: skip


def flat_colours(*colours: tuple[float, float, float]) -> Outfit:
    """One colour for each shape, all round."""
    return Outfit(
        tuple(np.zeros(0, np.float32) for _ in colours),
        tuple(np.array([colour] * 3, np.float32) for colour in colours),
        np.full((len(colours), 2), 0.5),
    )


def first_ball(view: View, shape: Shapes) -> Array:
    """Where the rays meet the first of very many balls along the axis: (H, W), infinite where they meet none."""
    stretch = np.eye(3) + (shape.flatness[0] - 1) * np.outer(shape.across[0, 0], shape.across[0, 0])
    rays = view.rays.astype(np.float64) @ view.camera.R.numpy() @ stretch
    square = (rays**2).sum(-1)
    nearest = np.full(rays.shape[:2], np.inf)
    for share in np.linspace(0, 1, 1500):
        middle = stretch @ (shape.start[0, 0] + share * (shape.end[0, 0] - shape.start[0, 0]))
        radius = shape.radii[0, 0] + share * (shape.radii[0, 1] - shape.radii[0, 0])
        b = rays @ middle
        under = b**2 - square * (middle @ middle - radius**2)
        met = under > 0
        t = np.where(met, (b - np.sqrt(np.maximum(under, 0))) / square, np.inf)
        nearest = np.minimum(nearest, t)
    return nearest


ACROSS = np.array([0.6, 0.0, 0.8])
CONES = {
    "across the view": ([-0.3, 2.0, 0.1], [0.4, 2.2, -0.2], (0.12, 0.05), 1.0),
    "towards the camera": ([0.1, 2.6, 0.1], [0.02, 1.4, 0.05], (0.14, 0.1), 1.0),
    "thick end near, along the view": ([0.0, 2.4, 0.0], [0.0, 1.6, 0.0], (0.05, 0.2), 1.0),
    "thin end near, along the view": ([0.03, 1.6, 0.0], [0.06, 2.6, 0.0], (0.08, 0.3), 1.0),
    "flat": ([-0.2, 2.0, -0.2], [0.3, 1.8, 0.3], (0.2, 0.15), 1.5),
    "thin end near, within its mirror image": ([0.0, 1.2, 0.02], [0.03, 1.5, 0.0], (0.04, 0.2), 1.0),
    "one ball in the other": ([0.0, 2.0, 0.0], [0.02, 2.0, 0.02], (0.2, 0.1), 1.0),
    "the first ball in the second": ([0.0, 2.0, 0.0], [0.02, 2.0, 0.02], (0.1, 0.2), 1.2),
    "flat and foreshortened": ([0.2, 2.4, 0.0], [0.1, 1.7, 0.1], (0.12, 0.16), 1.4),
}


@pytest.mark.parametrize("name", CONES)
def test_a_rounded_cone_is_what_a_growing_ball_sweeps(name: str) -> None:
    start, end, radii, flatness = CONES[name]
    shape = cone(np.array(start), np.array(end), radii, ACROSS, flatness)
    view = view_of(camera())
    picture = np.zeros((SIZE, SIZE, 3), np.float32)
    paint_people([picture], view, shape, flat_colours((200.0, 200.0, 200.0)), DARK)
    inside = np.isfinite(first_ball(view, shape))
    painted = picture[..., 0] > 60
    assert inside.sum() > 200
    # Only the pixels of the edge, which are partly covered, may differ.
    edge = inside ^ (np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1))
    edge |= np.roll(edge, 1, 0) | np.roll(edge, -1, 0) | np.roll(edge, 1, 1) | np.roll(edge, -1, 1)
    assert (painted == inside)[~edge].all()
    assert (painted != inside).mean() < 0.01


def test_what_is_nearer_hides_what_is_behind() -> None:
    one = cone(np.array([-0.4, 1.7, 0.0]), np.array([0.4, 2.4, 0.1]), (0.1, 0.14), ACROSS, 1.0)
    other = cone(np.array([-0.3, 2.4, 0.2]), np.array([0.3, 1.7, -0.2]), (0.15, 0.08), ACROSS, 1.4)
    view = view_of(camera())
    picture = np.zeros((SIZE, SIZE, 3), np.float32)
    paint_people([picture], view, joined(one, other), flat_colours((250.0, 0, 0), (0, 0, 250.0)), DARK)
    first, second = first_ball(view, one), first_ball(view, other)
    both = np.isfinite(first) & np.isfinite(second)
    both[both] = np.abs(first[both] - second[both]) > 0.02
    assert min((first < second)[both].sum(), (second < first)[both].sum()) > 30
    wrong = (picture[..., 0] > picture[..., 2]) != (first < second)
    assert wrong[both].mean() < 0.02  # the edges, where the two are mixed


def test_a_ball_is_brightest_where_it_faces_the_lamp() -> None:
    centre, radius = np.array([0.05, 2.0, -0.1]), 0.4
    lamp = np.array([0.6, -0.5, 0.62]) / np.linalg.norm([0.6, -0.5, 0.62])
    light = Light(lamp, ambient=0.3, colour=np.array([1.0, 0.9, 0.8]), shadow=0.0)
    view = view_of(camera())
    picture = np.zeros((SIZE, SIZE, 3), np.float32)
    ball = cone(centre, centre, (radius, radius), ACROSS, 1.0)
    paint_people([picture], view, ball, flat_colours((200.0, 200.0, 200.0)), light)
    t = first_ball(view, ball)
    inner = np.isfinite(t) & (picture[..., 0] > 0)
    rays = view.rays.astype(np.float64) @ view.camera.R.numpy()
    normals = (t[inner][:, None] * rays[inner] - centre) / radius
    half = (1 + normals @ lamp) / 2
    expected = 200 * (0.3 * (0.8 + 0.2 * normals[:, 2]) + 0.7 * half**1.5)
    error = np.abs(picture[inner] - expected[:, None] * light.colour)
    assert np.quantile(error, 0.9) < 0.5
    assert np.argmax(half) == pytest.approx(np.argmax(picture[inner][:, 0]), abs=200)


@pytest.fixture(scope="module")
def poses() -> npt.NDArray[np.float32]:
    takes = [synthetic_take("P3", action, 30, 1, 3.0)[::6] for action in ("Running", "Sitting", "Waving", "Mixed")]
    return np.concatenate(takes)


LIMBS = {
    "shoulder": ("upper_arm", "yoke"), "elbow": ("upper_arm", "forearm"), "wrist": ("forearm", "hand"),
    "hip": ("thigh", "hips"), "knee": ("thigh", "shin"), "ankle": ("shin", "foot"),
    "thorax": ("chest", "right_yoke", "left_yoke"), "spine": ("chest", "belly"), "pelvis": ("belly", "hips"),
    "head": ("head", "hair"), "neck": ("head", "nose"),
}  # fmt: skip


@pytest.mark.parametrize("joint", H36M_17.joint_names)
def test_every_joint_is_inside_the_flesh_of_its_own_limb(joint: str, poses: npt.NDArray[np.float32]) -> None:
    side, _, kind = joint.rpartition("_")
    names = [name if name in SHAPES else f"{side}_{name}" for name in LIMBS[kind]]
    rows = [SHAPES.index(name) for name in names]
    body = body_shapes(poses, make_build(1, "P3"))
    point = poses[:, H36M_17.index(joint)].astype(np.float64)
    depths = []
    for row in rows:
        # How deep in the flesh: the least of |stretched distance to the axis| - radius, over many points of the axis.
        share = np.linspace(0, 1, 400)[:, None, None]
        middle = body.start[:, row] + share * (body.end[:, row] - body.start[:, row])
        radius = body.radii[row, 0] + share[..., 0] * (body.radii[row, 1] - body.radii[row, 0])
        away = point - middle
        away = (
            away + (body.flatness[row] - 1) * (away * body.across[:, row]).sum(-1, keepdims=True) * body.across[:, row]
        )
        depths.append((np.linalg.norm(away, axis=-1) - radius).min(axis=0))
    assert np.min(depths, axis=0).max() < 0.0


def side_of_the_nose(picture: npt.NDArray[np.float32]) -> tuple[int, int]:
    """Number of red and of blue pixels."""
    return int((picture[..., 0] > picture[..., 2] + 50).sum()), int((picture[..., 2] > picture[..., 0] + 50).sum())


def test_faces_are_in_front_and_hair_behind(poses: npt.NDArray[np.float32]) -> None:
    # Front sectors red, back ones blue; hair blue, nose red; everything else black.
    black = np.zeros((3, 3), np.float32)
    head = np.array([[0, 0, 250], [250, 0, 0], [250, 0, 0]], np.float32)
    colours = {"head": head, "hair": head[[0, 0, 0]], "nose": head[[1, 1, 1]]}
    outfit = Outfit(
        tuple(np.zeros(0, np.float32) for _ in SHAPES),
        tuple(colours.get(name, black) for name in SHAPES),
        np.full((len(SHAPES), 2), 0.12),
    )
    for pose in poses[::4].astype(np.float64):
        line = pose[10] - pose[8]
        nose = (pose[9] - pose[8]) - (pose[9] - pose[8]) @ line / (line @ line) * line
        shapes = body_shapes(pose[None], make_build(1, "P3"))
        seen = {}
        for name, direction in (("front", nose), ("behind", -nose)):
            forward = -direction / np.linalg.norm(direction)
            right = np.cross(forward, line / np.linalg.norm(line))
            rotation = np.stack((right, np.cross(forward, right), forward))
            eye = pose[10] - 1.5 * forward
            base = camera(focal=250.0)
            looking = Camera(
                torch.from_numpy(rotation), torch.from_numpy(-rotation @ eye), base.intrinsics, base.distortion,
                "none", base.image_size,
            )  # fmt: skip
            picture = np.zeros((SIZE, SIZE, 3), np.float32)
            paint_people([picture], view_of(looking), shapes, outfit, DARK)
            seen[name] = side_of_the_nose(picture)
        assert seen["front"][0] > 1.2 * seen["front"][1]
        assert seen["behind"][0] < 0.05 * seen["behind"][1]


def test_toes_point_forward_when_people_stand() -> None:
    poses = synthetic_take("P1", "Waving", 20, 0, 3.0)
    body = body_shapes(poses, make_build(0, "P1"))
    hips = poses[:, 1] - poses[:, 4]
    forward = np.cross([0, 0, 1.0], hips)
    for side in ("right", "left"):
        foot = body.end[:, SHAPES.index(f"{side}_foot")] - body.start[:, SHAPES.index(f"{side}_foot")]
        cosine = (foot * forward).sum(-1) / np.linalg.norm(foot, axis=-1) / np.linalg.norm(forward, axis=-1)
        assert cosine.min() > 0.6
        assert (body.end[:, SHAPES.index(f"{side}_foot"), 2] > -0.02).all()


def test_the_top_of_the_head_is_painted_where_its_joint_is(poses: npt.NDArray[np.float32]) -> None:
    body = body_shapes(poses, make_build(1, "P3"))
    joints = mpii_joints(poses)
    top, neck = (joints[:, MPII_16.index(name)] for name in ("head_top", "upper_neck"))
    crown = (top - neck) / np.linalg.norm(top - neck, axis=-1, keepdims=True)
    head = SHAPES.index("head")
    highest = ((body.end[:, head] - top) * crown).sum(-1) + body.radii[head, 1]
    lowest = ((body.start[:, head] - neck) * crown).sum(-1) - body.radii[head, 0]
    assert np.abs(highest).max() < 0.02
    assert (lowest < 0).all()  # the chin is below the upper end of the neck, by less than its own height
    assert lowest.min() > -0.05
    for name in MPII_16.joint_names:
        if name in H36M_17.joint_names:
            assert np.array_equal(joints[:, MPII_16.index(name)], poses[:, H36M_17.index(name)])


def test_clothes_are_the_takes_and_skin_is_the_persons() -> None:
    first, again, other = dress(3, "P1", "Walking"), dress(3, "P1", "Walking"), dress(3, "P1", "Sitting")
    face = SHAPES.index("nose")
    assert all(np.array_equal(a, b) for a, b in zip(first.colours, again.colours, strict=True))
    assert np.array_equal(first.colours[face], other.colours[face])
    assert not np.array_equal(first.colours[SHAPES.index("chest")], other.colours[SHAPES.index("chest")])
    outfits = [dress(3, f"somebody {number}", "") for number in range(200)]
    assert len({outfit.colours[face].tobytes() for outfit in outfits}) == 200
    for outfit in outfits:
        for bounds, colours in zip(outfit.bounds, outfit.colours, strict=True):
            assert len(colours) == 3 * (len(bounds) + 1)
            assert (np.diff(bounds) >= 0).all()
            assert ((colours >= 0) & (colours <= 255)).all()


def test_neither_side_is_dressed_more_often() -> None:
    differing = {"right": 0, "left": 0}
    for number in range(600):
        outfit = dress(0, f"somebody {number}", "")
        for part in ("upper_arm", "forearm", "thigh", "shin", "foot", "hand"):
            right, left = (outfit.colours[SHAPES.index(f"{side}_{part}")] for side in ("right", "left"))
            if right.shape != left.shape or not np.array_equal(right, left):
                # The side that wears a thing more has more bands, or another colour than the yoke above it.
                differing["right" if right.std() > left.std() else "left"] += 1
    assert 40 < sum(differing.values()) < 200
    assert 0.3 < differing["right"] / sum(differing.values()) < 0.7


def test_shadows_lie_on_the_floor_away_from_the_lamp() -> None:
    view = view_of(studio_cameras(200)[0])
    pose = np.array(synthetic_take("P1", "Waving", 1, 0), np.float64)
    azimuth = 0.7
    direction = np.array([np.cos(azimuth), np.sin(azimuth), 1.0]) / np.sqrt(2)
    shapes = body_shapes(pose, make_build(0, "P1"))
    black = flat_colours(*[(0.0, 0.0, 0.0)] * len(SHAPES))
    pictures = [np.full((200, 200, 3), 100.0, np.float32) for _ in range(2)]
    for picture, shadow in zip(pictures, (0.5, 0.0), strict=True):
        paint_people([picture], view, shapes, black, Light(direction, 0.5, np.ones(3), shadow))
    darker = pictures[1][..., 0] - pictures[0][..., 0]
    middle = pose[0, 7] - direction * pose[0, 7, 2] / direction[2]
    column, row = view.camera.project(view.camera.to_camera(torch.from_numpy(middle))).round().long().tolist()
    assert 35.0 < darker[row, column] < 50.5
    other = 2 * pose[0, 7, :2] - middle[:2]
    column, row = (
        view.camera.project(view.camera.to_camera(torch.tensor([*other, 0.0], dtype=torch.float64)))
        .round()
        .long()
        .tolist()
    )
    assert darker[row, column] == 0.0
    assert (darker > 5).mean() < 0.1


def test_rooms_are_the_same_from_all_sides() -> None:
    rng = np.random.default_rng(4)
    room, light = make_room(rng, CAPTURE_CENTRE, 1.7), make_light(rng)
    room = room._replace(patterns=np.zeros(6, np.int64), boxes=room.boxes[:0], box_colours=room.box_colours[:0])
    colours = []
    for index in range(4):
        view = view_of(studio_cameras(200)[index])
        picture = paint_room(view, room, light, 6.0)
        point = torch.tensor([*CAPTURE_CENTRE, 0.0], dtype=torch.float64)
        column, row = view.camera.project(view.camera.to_camera(point)).round().long().tolist()
        colours.append(picture[row - 3 : row + 4, column - 3 : column + 4].mean(axis=(0, 1)))
    assert np.ptp(colours, axis=0).max() < 25  # clouds are finer than that
    assert np.std([np.mean(c) for c in colours]) < 8
