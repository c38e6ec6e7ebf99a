"""Triangulation by this package, by a loop over samples and by kornia, on people and cameras of our own.

``python tests/benchmarks/triangulation_work.py`` prints how accurate every way is.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from kornia.geometry import triangulate_points
from rig_work import Scene, make_scene
from torch import Tensor
from work import Work

from liftpose.geometry import Solver, ViewFusion, fuse_views, triangulate

__all__ = ["accuracy", "against_kornia", "against_loop", "fusion", "loop_iterative", "loop_linear"]

_NEIGHBOURS: Final = ((0, 1), (1, 2), (2, 3), (3, 0))
_OPPOSITE: Final = ((0, 2), (1, 3))
_CHANGE: Final = 3e-8  # metres, of the depth, at which the loop stops


def loop_linear(pixels: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """Least squares for one point (V, 2) after the other: pixels (N, V, J, 2) to points (N, J, 3)."""
    found = np.empty((len(pixels), pixels.shape[2], 3))
    for sample, views in enumerate(pixels):
        for joint in range(views.shape[1]):
            found[sample, joint] = _solve(_equations(views[:, joint], projections))
    return found


def loop_iterative(pixels: np.ndarray, projections: np.ndarray) -> np.ndarray:
    """The same with equations divided by the depths found before, until these stay, as Hartley and Sturm do it."""
    found = np.empty((len(pixels), pixels.shape[2], 3))
    for sample, views in enumerate(pixels):
        for joint in range(views.shape[1]):
            equations = _equations(views[:, joint], projections)
            depths = np.ones(len(projections))
            for _ in range(10):
                point = _solve(equations / np.repeat(depths, 2)[:, None])
                before, depths = depths, projections[:, 2] @ np.append(point, 1)
                if np.abs(depths - before).max() < _CHANGE:
                    break
            found[sample, joint] = point
    return found


def _equations(pixels: np.ndarray, projections: np.ndarray) -> np.ndarray:
    return np.stack([uv[k] * P[2] - P[k] for uv, P in zip(pixels, projections, strict=True) for k in range(2)])


def _solve(equations: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(equations[:, :3], -equations[:, 3], rcond=None)[0]


def _two_views(poses: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    scene = make_scene(poses)
    return scene.noisy(1.0)[:, :2].to(dtype).contiguous(), scene.cameras.projection_matrix[:2].to(dtype)


def against_loop(solver: Solver, poses: int) -> Work:
    """Two views of poses, float64."""
    pixels, projections = _two_views(poses, torch.float64)
    arrays = pixels.numpy(), projections.numpy()
    loop = {"linear": loop_linear, "iterative": loop_iterative}[solver]
    return Work(
        lambda: triangulate(pixels, projections, solver=solver).points,
        lambda: torch.from_numpy(loop(*arrays)),
        moved=0,
        count=poses,
        unit="17-joint poses",
    )


def against_kornia(their_solver: str, poses: int, dtype: torch.dtype) -> Work:
    """Two views of poses; validity, residuals and angles are found by ours only."""
    pixels, projections = _two_views(poses, dtype)
    first, second = pixels.unbind(1)
    return Work(
        lambda: triangulate(pixels, projections).points,
        lambda: triangulate_points(projections[:1], projections[1:], first, second, solver=their_solver),
        moved=0,
        count=poses,
        unit="17-joint poses",
    )


def fusion(name: ViewFusion, poses: int) -> Work:
    """Four views of poses, float32."""
    scene = make_scene(poses)
    pixels, projections = scene.noisy(3.0, outliers=0.1).float(), scene.cameras.projection_matrix.float()
    run: Any = lambda: fuse_views(pixels, projections, fusion=name)  # noqa: E731
    return Work(run, None, moved=0, count=poses, unit="17-joint poses")


def _error(scene: Scene, points: Tensor) -> float:
    return 1000 * float((points - scene.poses_3d).norm(dim=-1).mean())


def accuracy(frames: int = 1000, seed: int = 0) -> dict[str, dict[str, float]]:
    """Mean error in mm of every way of triangulating, for noise of 1 and 3 pixels, without and with outliers.

    Ten per cent of all 2D joints are 60 pixels off in the columns "outliers". Pairs are averaged over the four pairs of
    neighbours (about 90 degrees apart), or the two of opposite cameras.
    """
    scene = make_scene(frames, seed=seed)
    projections = scene.cameras.projection_matrix
    solvers: dict[str, Solver] = {
        "least squares": "linear",
        "least squares, weights 1 / depth": "iterative",
        "optimal correction": "optimal",
        "homogeneous, eigenvectors": "eigh",
        "homogeneous, SVD": "svd",
    }
    fusions: dict[str, tuple[ViewFusion, Any]] = {
        "vector median of neighbours": ("vector_median", _NEIGHBOURS),
        "vector median of all pairs": ("vector_median", None),
        "least squares of 4 views": ("dlt", None),
        "robust, 4 views": ("robust", None),
    }
    table: dict[str, dict[str, float]] = {}
    for column, sigma, outliers in (
        ("1 px", 1.0, 0.0),
        ("3 px", 3.0, 0.0),
        ("1 px, outliers", 1.0, 0.1),
        ("3 px, outliers", 3.0, 0.1),
    ):
        pixels = scene.noisy(sigma, seed + 1, outliers)
        for kind, pairs in (("neighbours", _NEIGHBOURS), ("opposite cameras", _OPPOSITE)):
            for name, solver in solvers.items():
                errors = [
                    _error(scene, triangulate(pixels[:, list(pair)], projections[list(pair)], solver=solver).points)
                    for pair in pairs
                ]
                table.setdefault(f"{kind}: {name}", {})[column] = float(np.mean(errors))
        for name, (how, chosen) in fusions.items():
            points = fuse_views(pixels, projections, fusion=how, pairs=chosen).points
            table.setdefault(name, {})[column] = _error(scene, points)
    return table


def main() -> None:
    """Print the table in Markdown."""
    rows = accuracy()
    columns = list(next(iter(rows.values())))
    lines = [["mean error, mm", *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *(f"{row[column]:.1f}" for column in columns)] for name, row in rows.items()]
    print("\n".join("| " + " | ".join(line) + " |" for line in lines))


if __name__ == "__main__":
    main()
