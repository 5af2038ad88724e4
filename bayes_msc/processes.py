"""Work spread over processes: a local pool, results as they finish, a bar with the time left."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import Protocol


class Advance(Protocol):
    """Moves a progress bar."""

    def __call__(self, done: int, further: int = 0) -> None:
        """Say what was done since the last call, and what is to be done beside."""


def local_pool(workers: int) -> ProcessPoolExecutor:
    """Return processes of this machine."""
    # a forked process would share the threads of the parent's numerical libraries
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_begin)


def _begin() -> None:
    """Leave Ctrl-C to the parent, which keeps what is finished and waits for the end."""
    exit_at_once()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def exit_at_once() -> None:
    """Skip the search for garbage at the end of this process, which gives its memory back anyway.

    With PyMC and compiled models it takes about a second, in which a command seems to hang.
    """
    atexit.register(gc.freeze)


def gather[Item, Result](
    executor: Executor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    ahead: int | None = None,
) -> Iterator[Result]:
    """Yield results as they finish, in any order; what is not begun is cancelled at the end.

    Parameters
    ----------
    executor : Executor
    work : callable
    items : iterable
    ahead : int, optional
        Most items that are handed over and not yet done; by default all of them at once.
    """
    waiting = iter(items)
    futures: dict[Future[Result], None] = {}
    try:
        while True:
            room = None if ahead is None else ahead - len(futures)
            futures |= {executor.submit(work, item): None for item in islice(waiting, room)}
            if not futures:
                return
            done = wait(futures, return_when=FIRST_COMPLETED).done
            for future in [one for one in futures if one in done]:
                del futures[future]
                yield future.result()
    finally:
        for future in futures:
            future.cancel()


@contextmanager
def progress_bar(total: int, wanted: bool | None, what: str) -> Iterator[Advance]:
    """Show a progress bar with the time left.

    Parameters
    ----------
    total : int
    wanted : bool, optional
        By default where there is a terminal to show it on.
    what : str
        What is counted.

    Yields
    ------
    callable
        Takes the number of things done since the last call, and of those that come on top of the
        total.
    """
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield lambda done, further=0: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total)

        def advance(done: int, further: int = 0) -> None:
            nonlocal total
            total += further
            progress.update(task, total=total, advance=done)

        yield advance
