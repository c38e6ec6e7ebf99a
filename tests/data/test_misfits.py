"""What the distances between keypoints and projections say, for distances made up here."""

from __future__ import annotations

import numpy as np

from liftpose.data.misfits import judge
from liftpose.data.reprojection import PersonViews, Reprojection


def judged(medians: list[list[list[float]]]) -> list[str]:
    """Judge one take of detections of people 400 pixels high, from the error of each side, view and camera."""
    errors = np.repeat(np.repeat(np.array(medians)[..., None, None], 3, axis=-2), 2, axis=-1)
    views, frames = errors.shape[1], errors.shape[3]
    nothing = np.zeros((views, frames, 2, 2))
    person = PersonViews("anna", ("Walk",), np.zeros(frames, int), np.zeros((frames, 2, 3)), nothing, np.array([1, 0]))
    result = Reprojection(errors, nothing, np.full(views, 400.0), False, np.full((views, frames, 2), np.nan))
    return [finding.line("x") for finding in judge(person, result, exact=False)]


def test_every_view_has_a_camera_of_its_own_where_that_fits() -> None:
    """The second view fits camera 2 by 5 pixels, and by 4 camera 1 with the sides exchanged, as from behind."""
    plain = [[90.0, 3, 90], [90, 90, 5], [3, 90, 90]]
    exchanged = [[90.0, 90, 90], [90, 4, 90], [90, 90, 90]]
    (line,) = judged([plain, exchanged])
    assert line.startswith(
        "error: x: anna/Walk: expected views of the cameras 0, 1, 2, found of 1, 2, 0; put the views"
    )
    assert "into the order 2, 0, 1 " in line


def test_a_view_that_is_there_twice_is_called_so() -> None:
    plain = [[3.0, 90, 90], [3, 90, 90], [90, 90, 3]]
    (line,) = judged([plain, [[90.0] * 3] * 3])
    assert "expected views of the cameras 0, 1, 2, found of 0, 0, 2; make the file again" in line
