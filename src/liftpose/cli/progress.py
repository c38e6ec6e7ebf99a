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
        called, and what is done next begins a new line.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}

    def show(number: int, count: int, name: str) -> None:
        if name not in tasks:
            bar.start()
            tasks[name] = bar.add_task(name, total=count)
        bar.update(tasks[name], completed=number, total=count)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()
