"""Progress of long work on standard output; nothing is shown before there is something to show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function that shows how much of something is done.

    Yields:
        A function of the number done, the number of all, and what is being done; nothing is shown before it is first
        called. What is done next gets a line of its own once the line before has come to its end, else its line.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    current: list[TaskID] = []

    def show(number: int, count: int, name: str) -> None:
        if not current or (bar.tasks[current[-1]].finished and number < count):
            bar.start()
            current.append(bar.add_task(name, total=count))
        bar.update(current[-1], completed=number, total=count, description=name or "done")

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()
