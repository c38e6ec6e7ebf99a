"""Trees of arrays written piece by piece, read by numpy's own reader."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from liftpose.formats import write_npz_objects
from liftpose.formats.pickled import Deferred


def views(number: int) -> list[np.ndarray[Any, Any]]:
    return [np.full((500, 1000), 4 * number + view, dtype=np.float32) for view in range(4)]


def test_deferred_parts_are_made_when_their_turn_comes(tmp_path: Path) -> None:
    made: list[int] = []

    def later(number: int) -> Deferred:
        def make() -> dict[str, Any]:
            made.append(number)
            return {"views": views(number)[:2], "name": f"take {number}"}

        return Deferred(make)

    tree = {"S1": {"a": later(0), "b": [later(1), np.float32(3)]}, "S5": later(2)}
    assert made == []
    write_npz_objects(tmp_path / "a.npz", {"positions_2d": tree, "last": later(3)})
    assert made == [0, 1, 2, 3]
    expected = [{"views": views(number)[:2], "name": f"take {number}"} for number in range(4)]
    with np.load(tmp_path / "a.npz", allow_pickle=True) as found:
        np.testing.assert_equal(
            found["positions_2d"].item(),
            {"S1": {"a": expected[0], "b": [expected[1], np.float32(3)]}, "S5": expected[2]},
        )
        np.testing.assert_equal(found["last"].item(), expected[3])


def test_what_is_written_need_not_fit_into_memory(tmp_path: Path) -> None:
    """80 MB in pieces of 8 MB, of which one at a time is there."""
    tree = {f"take {number}": Deferred(lambda number=number: views(number)) for number in range(10)}
    tracemalloc.start()
    write_npz_objects(tmp_path / "a.npz", {"positions_2d": tree}, compress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "a.npz").stat().st_size > 80_000_000
    assert peak < 10_000_000
    with np.load(tmp_path / "a.npz", allow_pickle=True) as found:
        np.testing.assert_equal(found["positions_2d"].item(), {name: views(number) for number, name in enumerate(tree)})


def test_arrays_are_written_without_a_copy(tmp_path: Path) -> None:
    tree = {"C": np.ones((1000, 1000)), "Fortran": np.ones((1000, 1000), order="F"), "dtype": np.ones(8_000_000, "S1")}
    tracemalloc.start()
    write_npz_objects(tmp_path / "a.npz", {"positions_3d": tree}, compress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_the_same_values_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        tree = {"S1": Deferred(lambda: [np.arange(5), np.arange(6.0)]), "words": ["a", "b", "a"]}
        write_npz_objects(tmp_path / f"{name}.npz", {"positions_2d": tree})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_one_array_in_two_places_is_written_twice(tmp_path: Path) -> None:
    array = np.arange(3.0)
    both = [array, array]
    write_npz_objects(tmp_path / "a.npz", {"positions_2d": {"a": both, "b": both, "c": array}})
    with np.load(tmp_path / "a.npz", allow_pickle=True) as found:
        np.testing.assert_equal(found["positions_2d"].item(), {"a": both, "b": both, "c": array})


def test_a_part_that_cannot_be_made_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_npz_objects(tmp_path / "a.npz", {"positions_2d": {"a": np.zeros(3), "b": Deferred(fail)}})
    assert list(tmp_path.iterdir()) == []


def test_an_array_too_large_for_the_format_is_refused(tmp_path: Path) -> None:
    large = np.broadcast_to(np.float32(0), (2**15, 2**15))  # 4 GiB, of which 4 bytes are there
    with pytest.raises(ValueError, match=r"expected arrays below 4 GiB, found one of 4\.0 GiB"):
        write_npz_objects(tmp_path / "a.npz", {"positions_3d": {"a": large}})
    assert list(tmp_path.iterdir()) == []
