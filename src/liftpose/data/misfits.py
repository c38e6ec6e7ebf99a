"""What is wrong with keypoints that do not fit the projections of the poses: given arrays, no files."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from liftpose.data.inspection import Finding, Level
from liftpose.data.reprojection import FEWEST_POINTS, PersonViews, Reprojection, median

__all__ = ["DETECTION_LIMIT", "EXACT_LIMIT", "EXACT_WARNING", "FITTED_LIMIT", "judge"]

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

EXACT_WARNING = 0.1
"""Pixels: true keypoints farther off than this in the median are rounded or seen through another lens."""

EXACT_LIMIT = 1.0
"""Pixels: true keypoints farther off than this in the median are not projections of the poses."""

DETECTION_LIMIT = 0.05
"""Share of the person's size in the picture: detections farther off than this in the median are of something else."""

FITTED_LIMIT = 0.02
"""The same for true keypoints where the camera had to be fitted without its distortion."""

_BETTER = 0.5  # another camera explains keypoints where it leaves less than this share of the error
_EXPLAINED = 0.1  # the same for a formula
_MOST_VIEWS = 6  # more have too many orders to try
_EXCHANGED = 0.6  # the same for exchanged sides, measured at the joints that have a side


class _Diagnosis(NamedTuple):
    """What fits the keypoints of one view of one take best.

    Args:
        camera: The camera.
        exchanged: The sides are exchanged.
        error: Pixels, with this camera and these sides.
    """

    camera: int
    exchanged: bool
    error: float


def judge(person: PersonViews, result: Reprojection, *, exact: bool) -> list[Finding]:
    """Tell what is wrong with the keypoints of a person in the light of the poses.

    Args:
        person: Poses and keypoints.
        result: What :func:`reproject` gives for them.
        exact: The keypoints are true ones, which have to be projections to a fraction of a pixel; else detections.

    Returns:
        Keypoints of another camera, exchanged sides, and keypoints that are not the projection of the poses. Of
        detections a single take may fail without spoiling a result: that is a warning where less than half of a view's
        takes are concerned.
    """
    sided = person.mirror != np.arange(len(person.mirror))
    limits = [_limits(float(height), exact, result.fitted)[1] for height in result.heights]
    table = [
        _diagnose(result.errors[:, :, :, person.take_of == take], sided, limits) for take in range(len(person.takes))
    ]
    findings: list[Finding] = []
    findings += _orders(person, table)
    findings += _sides(person, table, exact)
    findings += _misfits(person, result, table, exact)
    return findings


def _diagnose(errors: Float64Array, sided: BoolArray, limits: list[float]) -> list[_Diagnosis]:
    """Find camera and sides of every view of a take from its (2, V, C, F, J) errors and the limit of each view."""
    medians = np.array([[[median(camera) for camera in view] for view in side] for side in errors])
    cameras = _cameras(medians.min(axis=0), limits)
    result = []
    for view, (camera, limit) in enumerate(zip(cameras, limits, strict=True)):
        plain, other = (median(errors[side, view, camera][:, sided]) for side in range(2))
        exchanged = other < _EXCHANGED * plain and other < limit
        result.append(_Diagnosis(camera, exchanged, float(medians[int(exchanged), view, camera])))
    return result


def _cameras(medians: Float64Array, limits: list[float]) -> list[int]:
    """Find the camera of each view from the (V, C) medians; its own unless another one is much better."""
    chosen = []
    for view, (best, limit) in enumerate(zip(medians, limits, strict=True)):
        camera = int(np.nanargmin(best)) if np.isfinite(best).any() else view
        chosen.append(camera if best[camera] < _BETTER * best[view] and best[camera] < limit else view)
    if len(set(chosen)) == len(chosen) or len(chosen) > _MOST_VIEWS:
        return chosen
    # From the front and from behind people look alike once their sides are exchanged: two views may seem to be of one
    # camera. An order in which every view has a camera of its own and fits comes first.
    views = np.arange(len(chosen))
    orders = [np.array(order) for order in itertools.permutations(views)]
    fitting = [order for order in orders if (medians[views, order] < limits).all()]
    return min(fitting, key=lambda order: float(medians[views, order].sum())).tolist() if fitting else chosen


def _orders(person: PersonViews, table: list[list[_Diagnosis]]) -> list[Finding]:
    findings = []
    for take, row in zip(person.takes, table, strict=True):
        cameras = [diagnosis.camera for diagnosis in row]
        if cameras == list(range(len(row))):
            continue
        order = ", ".join(map(str, cameras))
        straight = ", ".join(map(str, range(len(row))))
        if sorted(cameras) == list(range(len(row))):
            inverse = ", ".join(str(cameras.index(view)) for view in range(len(row)))
            cure = f"put the views into the order {inverse} (views[i] = old[order[i]])"
        else:
            cure = "make the file again from the videos: a view is there twice"
        place = f"{person.subject}/{take}"
        findings.append(
            Finding("error", f"camera order {order}", place, f"views of the cameras {straight}", f"of {order}", cure)
        )
    return findings


def _level(exact: bool, concerned: int, count: int) -> Level:
    return "error" if exact or 2 * concerned >= count else "warning"


def _sides(person: PersonViews, table: list[list[_Diagnosis]], exact: bool) -> list[Finding]:
    findings = []
    cure = "exchange the joints of keypoints_symmetry in the 2D file, or left and right in the 3D file"
    for view in range(len(table[0]) if table else 0):
        concerned = [take for take, row in zip(person.takes, table, strict=True) if row[view].exchanged]
        level = _level(exact, len(concerned), len(table))
        for take in concerned:
            place = f"{person.subject}/{take}.{view}"
            expected = "left and right as in the 3D poses"
            found = "keypoints that fit with the sides exchanged"
            findings.append(Finding(level, "sides", place, expected, found, cure))
    return findings


def _misfits(person: PersonViews, result: Reprojection, table: list[list[_Diagnosis]], exact: bool) -> list[Finding]:
    findings = []
    for view in range(len(table[0]) if table else 0):
        warning, limit = _limits(float(result.heights[view]), exact, result.fitted)
        free = [median(result.free[view, person.take_of == take]) for take in range(len(table))]
        # Where a free projection fits, the extrinsics are at fault and not the keypoints.
        errors = [float(np.fmin(row[view].error, other)) for row, other in zip(table, free, strict=True)]
        concerned = [take for take, error in enumerate(errors) if error > limit]
        level = _level(exact, len(concerned), len(errors))
        formula = None
        if level == "error" and not result.fitted:
            formula = _affine(person, result, view, np.isin(person.take_of, concerned))
        for take, (name, error) in enumerate(zip(person.takes, errors, strict=True)):
            place = f"{person.subject}/{name}.{view}"
            found = (
                f"a median distance of {error:.3g} pixels"
                if np.isfinite(error)
                else "what no camera sees, such as mirrored ones"
            )
            if take in concerned:
                expected = f"projections of the 3D poses within {limit:.3g} pixels"
                if formula is not None:
                    cure, kind = f"the pixels wanted are {formula}", "affine"
                elif level == "error":
                    cure, kind = (
                        "make 2D and 3D again from one source, with the cameras of the description",
                        "projection",
                    )
                else:
                    cure, kind = "look at the take: detections or poses are off there", "projection"
                findings.append(Finding(level, kind, place, expected, found, cure))
            elif table[take][view].error > DETECTION_LIMIT * result.heights[view]:
                expected = "the cameras where the description says"
                found = f"keypoints {table[take][view].error:.3g} pixels off there, but {error:.3g} from elsewhere"
                cure = "compare the cameras with the world frame of the poses"
                findings.append(Finding("warning", "extrinsics", place, expected, found, cure))
            elif error > warning:
                expected = f"projections of the 3D poses within {warning:g} pixels"
                cure = "rounded pixels or another lens model do this; results change little"
                findings.append(Finding("warning", "nearly", place, expected, found, cure))
    return findings


def _limits(height: float, exact: bool, fitted: bool) -> tuple[float, float]:
    """Pixels from which on a distance is a warning, and from which on the keypoints are of something else."""
    if exact and not fitted:
        return EXACT_WARNING, EXACT_LIMIT
    limit = (FITTED_LIMIT if exact else DETECTION_LIMIT) * height
    return limit, limit


def _affine(person: PersonViews, result: Reprojection, view: int, frames: BoolArray) -> str | None:
    """Say how keypoints have to be scaled, shifted or mirrored to fit, if that is what is wrong with them."""
    seen = person.keypoints[view, frames].reshape(-1, 2)
    wanted = result.projections[view, frames].reshape(-1, 2)
    good = np.isfinite(seen).all(axis=-1) & np.isfinite(wanted).all(axis=-1)
    if good.sum() < FEWEST_POINTS:
        return None
    seen, wanted = seen[good], wanted[good]
    terms = np.c_[seen, np.ones(len(seen))]
    kept = np.ones(len(terms), bool)
    for _ in range(3):
        matrix = np.linalg.lstsq(terms[kept], wanted[kept], rcond=None)[0]
        distances = np.linalg.norm(terms @ matrix - wanted, axis=-1)
        kept = distances <= 3 * np.median(distances) + 1e-9
    if not np.median(distances) < _EXPLAINED * np.median(np.linalg.norm(seen - wanted, axis=-1)):
        return None
    (a, c), (b, d), (e, f) = matrix.round(3) + 0.0  # no number is -0.000
    return f"x' = {a:.3f} x {b:+.3f} y {e:+.1f}, y' = {c:.3f} x {d:+.3f} y {f:+.1f}"
