"""Dividing people into training, validation and test, so that nobody is on two sides."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from liftpose.errors import LiftposeError

__all__ = ["SIDES", "check_split", "find_crossing", "split_people"]

SIDES = ("train", "validation", "test")

_SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


def split_people(
    frames: Mapping[str, int], same_side: Sequence[Collection[str]] = (), training_only: Collection[str] = ()
) -> dict[str, list[str]]:
    """Divide people by rule: about 70 % of the frames for training, 10 % for validation, 20 % for testing.

    People who may not be parted form one group. Groups are dealt out from the one with the most frames to the one with
    the fewest, each to the side that lacks most of its share at that moment. The same people and frames always give the
    same split.

    Args:
        frames: Number of frames of each person.
        same_side: Groups of people who may not be parted; names that are not in ``frames`` are ignored.
        training_only: People who must be on the training side.

    Returns:
        "train", "validation" and "test" -> people in the order of ``frames``. With fewer than three groups a side stays
        empty.

    Example:
        >>> split_people({"S1": 700, "S2": 200, "S3": 60, "S4": 50}, same_side=[("S3", "S4")])
        {'train': ['S1'], 'validation': ['S3', 'S4'], 'test': ['S2']}
    """
    group_of = {person: frozenset([person]) for person in frames}
    for together in same_side:
        present = [person for person in together if person in frames]
        joined = frozenset().union(*(group_of[person] for person in present))
        group_of.update(dict.fromkeys(joined, joined))
    order = list(frames)
    groups = sorted(
        set(group_of.values()), key=lambda group: (-sum(frames[p] for p in group), min(map(order.index, group)))
    )
    bound = [group for group in groups if group & set(training_only)]
    total = sum(frames.values())
    sides: dict[str, list[str]] = {side: [] for side in SIDES}
    filled = dict.fromkeys(SIDES, 0)
    for group in [*bound, *(group for group in groups if group not in bound)]:
        side = "train" if group in bound else max(SIDES, key=lambda s: _SHARES[s] * total - filled[s])
        sides[side].extend(group)
        filled[side] += sum(frames[person] for person in group)
    return {side: sorted(people, key=order.index) for side, people in sides.items()}


def check_split(
    people: Collection[str],
    validation: Sequence[str],
    test: Sequence[str],
    same_side: Sequence[Collection[str]] = (),
    training_only: Collection[str] = (),
) -> dict[str, list[str]]:
    """Make a split from the people who validate and test; all others train.

    Args:
        people: Everybody.
        validation: People for validation.
        test: People for testing.
        same_side: Groups of people who may not be parted.
        training_only: People who must be on the training side.

    Returns:
        "train", "validation" and "test" -> people in the order of ``people``.

    Raises:
        LiftposeError: Somebody is unknown, is on two sides, is parted from their group or may only train.
    """
    side_of = dict.fromkeys(people, "train")
    for side, members in (("validation", validation), ("test", test)):
        for person in members:
            if person not in side_of:
                raise LiftposeError(f"{side} subjects: expected some of {', '.join(people)}, found {person}")
            if side_of[person] not in ("train", side):
                raise LiftposeError(
                    f"{side} subjects: expected each person on one side, found {person} on {side_of[person]} and {side}"
                )
            if person in training_only:
                raise LiftposeError(
                    f"{side} subjects: expected people with a body of their own, found {person}, "
                    "whose motion was put on another figure"
                )
            side_of[person] = side
    for group in same_side:
        sides = {person: side_of[person] for person in group if person in side_of}
        if len(set(sides.values())) > 1:
            found = ", ".join(f"{person} on {side}" for person, side in sides.items())
            raise LiftposeError(
                f"split: expected {' and '.join(sides)} on one side, because they may be the same person "
                f"or move together, found {found}"
            )
    return {side: [person for person in people if side_of[person] == side] for side in SIDES}


def find_crossing(
    train: Collection[str], other: Collection[str], same_side: Sequence[Collection[str]] = ()
) -> tuple[str, str] | None:
    """Find somebody who is trained on and judged by.

    Args:
        train: People for training.
        other: People for validation or test.
        same_side: Groups of people who may be the same person.

    Returns:
        Who is trained on, and who of the others is the same or may be; None where nobody is.

    Example:
        >>> find_crossing(["S1", "S2"], ["S3"], same_side=[("S2", "S3")])
        ('S2', 'S3')
    """
    for group in [*({person} for person in train), *map(set, same_side)]:
        trained, judged = sorted(group & set(train)), sorted(group & set(other))
        if trained and judged:
            return (judged[0] if judged[0] in trained else trained[0]), judged[0]
    return None
