"""What the data sets of the field have to hold: people and takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from liftpose.data.inspection import Finding, Level
from liftpose.data.splits import find_crossing
from liftpose.formats.dataset_info import DatasetInfo

__all__ = ["H36M_ACTIONS", "expected_takes", "missing_in_other", "missing_people"]

H36M_ACTIONS: Final = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting"),
    *("SittingDown", "Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether"),
)
"""The actions of Human3.6M as the field writes them; everybody does each of them twice."""

_H36M_TAKES = 2
_CORRUPT = ("S11", "Directions")  # one of the two videos is broken, and the take is left out everywhere
_HUMANEVA_TESTED = ("Walking", "Jog", "Box")

Takes = Mapping[str, Sequence[str]]


def missing_people(takes: Takes, info: DatasetInfo) -> list[Finding]:
    """Compare the people of a 3D file with those of the data set's splits.

    Args:
        takes: Person -> takes in the file.
        info: The description.

    Returns:
        People of the splits that are missing: an error for those who are tested on, a warning for others. An error for
        people whose cameras are unknown, and for somebody on both sides of a split.
    """
    findings = []
    for person in takes:
        if person not in info.cameras:
            cure = "add them to the description, or leave the person out"
            findings.append(Finding("error", "cameras", person, "cameras of everybody with 3D poses", "none", cure))
    tested = {*info.splits["validation"], *info.splits["test"]}
    crossing = find_crossing(info.splits["train"], tested, info.notes.get("same_side", ()))
    if crossing is not None:
        found = crossing[1] if crossing[0] == crossing[1] else f"{crossing[1]}, who may be {crossing[0]}"
        expected, cure = "validation and test on people who are not trained on", "correct splits in the description"
        findings.append(Finding("error", "splits", "", expected, found, cure))
    for person in dict.fromkeys(person for people in info.splits.values() for person in people):
        if not takes.get(person):
            level: Level = "error" if person in tested else "warning"
            role = "tests" if person in tested else "trains"
            expected = f"{person}, on whom {info.name} {role}"
            cure = f"make the file again with the files of {person}, or name other subjects in the configuration"
            findings.append(Finding(level, f"person {person}", "", expected, "nobody of that name", cure))
    return findings


def expected_takes(takes: Takes, info: DatasetInfo) -> list[Finding]:
    """Compare the takes of a 3D file with those that everybody has in the data sets of the field.

    Args:
        takes: Person -> takes in the file.
        info: The description.

    Returns:
        Takes that are missing, surplus or named otherwise: errors for people who are tested on, warnings for others.
    """
    if info.name == "h36m":
        return [finding for person in takes for finding in _h36m(person, takes[person], info)]
    if info.name.startswith("humaneva"):
        return [finding for person in takes for finding in _humaneva(person, takes[person], info)]
    return []


def _h36m(person: str, takes: Sequence[str], info: DatasetInfo) -> list[Finding]:
    level: Level = "error" if person in info.splits["test"] else "warning"
    numbers = Counter(take.split(" ")[0] for take in takes)
    expected = {action: _H36M_TAKES - ((person, action) == _CORRUPT) for action in H36M_ACTIONS}
    findings = []
    strange = [action for action in numbers if action not in expected]
    if strange:
        cure = f"rename them: the actions are {', '.join(H36M_ACTIONS)}"
        findings.append(Finding("warning", f"names {person}", person, "actions of Human3.6M", ", ".join(strange), cure))
    total = sum(expected.values())
    lacking = [f"{action} ({numbers[action]})" for action, count in expected.items() if numbers[action] < count]
    if lacking:
        here = sum(min(numbers[action], count) for action, count in expected.items())
        found = f"{here}, too few of {', '.join(lacking)}"
        cure = f"make the file again with all files of {person}"
        findings.append(Finding(level, f"takes {person}", person, f"{total} takes", found, cure))
    surplus = [f"{action} ({numbers[action]})" for action, count in expected.items() if numbers[action] > count]
    if surplus:
        corrupt = person == _CORRUPT[0] and numbers[_CORRUPT[1]] > expected[_CORRUPT[1]]
        cure = "leave out the take 'Directions' of S11, whose video is broken" if corrupt else "leave out the surplus"
        found = f"more of {', '.join(surplus)}"
        findings.append(Finding(level, f"surplus {person}", person, f"{total} takes", found, cure))
    return findings


def _humaneva(person: str, takes: Sequence[str], info: DatasetInfo) -> list[Finding]:
    lacking = [action for action in _HUMANEVA_TESTED if not any(take.startswith(action) for take in takes)]
    if not lacking:
        return []
    found = f"none of {', '.join(lacking)}"
    cure = f"make the file again with all files of {person}"
    level: Level = "error" if person in info.splits["test"] else "warning"
    return [Finding(level, f"takes {person}", person, "chunks of Walking, Jog and Box", found, cure)]


def missing_in_other(takes_3d: Takes, takes_2d: Takes) -> list[Finding]:
    """Find what is in one of the two files of a data set only.

    Args:
        takes_3d: Person -> takes of the 3D file.
        takes_2d: Person -> takes of the 2D file.

    Returns:
        An error for what the readers refuse, a note for people without 3D poses.
    """
    findings = []
    for person, takes in takes_3d.items():
        if person not in takes_2d:
            cure = f"add the keypoints of {person}, or leave {person} out of the configuration"
            findings.append(
                Finding("error", "no keypoints", person, "keypoints of everybody with 3D poses", "none", cure)
            )
            continue
        for take in (take for take in takes if take not in takes_2d[person]):
            cure = "make both files from the same takes"
            place = f"{person}/{take}"
            findings.append(
                Finding("error", "only 3D", place, "the take in both files", "it in the 3D file only", cure)
            )
    for person, takes in takes_2d.items():
        if person not in takes_3d:
            expected = "3D poses"
            cure = "such keypoints serve semi-supervised training, and are left out otherwise"
            findings.append(Finding("note", "no poses", person, expected, "keypoints only", cure))
            continue
        for take in (take for take in takes if take not in takes_3d[person]):
            cure = "make both files from the same takes"
            place = f"{person}/{take}"
            findings.append(
                Finding("error", "only 2D", place, "the take in both files", "it in the 2D file only", cure)
            )
    return findings
