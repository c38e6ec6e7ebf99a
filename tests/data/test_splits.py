from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftpose.data.splits import check_split, split_people
from liftpose.errors import LiftposeError


@given(
    frames=st.lists(st.integers(1, 1000), min_size=1, max_size=12),
    groups=st.lists(st.sets(st.integers(0, 14), max_size=4), max_size=4),
    bound=st.sets(st.integers(0, 11), max_size=3),
)
def test_everybody_is_on_one_side_and_groups_stay_together(
    frames: list[int], groups: list[set[int]], bound: set[int]
) -> None:
    people = {f"P{i}": count for i, count in enumerate(frames)}
    together = [{f"P{i}" for i in group} for group in groups]
    training_only = {f"P{i}" for i in bound}
    sides = split_people(people, together, training_only)
    assert sorted(person for side in sides.values() for person in side) == sorted(people)
    for group in together:
        assert sum(bool(group & set(members)) for members in sides.values()) <= 1
    assert training_only & set(people) <= set(sides["train"])
    # The same rule written down as a choice passes the check of choices.
    assert check_split(list(people), sides["validation"], sides["test"], together, training_only) == sides


def test_many_equal_people_are_divided_seven_to_one_to_two() -> None:
    sides = split_people({f"P{i}": 100 for i in range(10)})
    assert {side: len(members) for side, members in sides.items()} == {"train": 7, "validation": 1, "test": 2}


@pytest.mark.parametrize(
    ("validation", "test", "message"),
    [
        (["X"], [], "validation subjects: expected some of A, B, C, D, found X"),
        (["A"], ["A"], "expected each person on one side, found A on validation and test"),
        (["B"], [], "expected B and C on one side.*found B on validation, C on train"),
        ([], ["D"], "test subjects: expected people with a body of their own, found D"),
    ],
)
def test_an_impossible_split_is_told(validation: list[str], test: list[str], message: str) -> None:
    with pytest.raises(LiftposeError, match=message):
        check_split(["A", "B", "C", "D"], validation, test, [("B", "C", "Z")], ["D"])
