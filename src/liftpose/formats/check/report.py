"""What the check of one file has to say."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from liftpose.data.inspection import Finding, merge_findings

__all__ = ["FileReport", "camera_words", "count_words", "list_words", "size_words"]

_MOST_NAMES = 12


@dataclass
class FileReport:
    """What a file is and what is wrong with it.

    Args:
        path: The file.
        lines: What it is, one line each, without its name.
        findings: What is wrong with it.
        failures: Messages of readers that refuse it: each names the file, what was expected and what was found.
    """

    path: Path
    lines: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def problems(self) -> list[tuple[str, str]]:
        """Pairs of a level ("error", "warning" or "note") and a line, the worst first."""
        failed = [("error", f"error: {message}") for message in self.failures]
        merged = merge_findings(self.findings)
        return failed + [(finding.level, finding.line(str(self.path))) for finding in merged]


def count_words(number: int, noun: str) -> str:
    """Write a number with its noun, such as ``"1,234 frames"``; the noun is given in the singular."""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"


def camera_words(numbers: Collection[int]) -> str:
    """Write how many cameras people are seen by, such as ``"1 or 8 cameras"``."""
    return f"{' or '.join(map(str, numbers)) or 'no'} {'camera' if set(numbers) == {1} else 'cameras'}"


def list_words(names: Iterable[str]) -> str:
    """Write names in one line, long lists cut."""
    names = list(names)
    return ", ".join(names) if len(names) <= _MOST_NAMES else f"{', '.join(names[:_MOST_NAMES])}, …"


def size_words(path: Path) -> str:
    """Write the size of a file."""
    size = float(path.stat().st_size)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
