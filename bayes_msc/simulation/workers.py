"""Who does the work: this process, processes of this machine, or a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Thread
from typing import Any, Self

from bayes_msc.errors import WorkersError
from bayes_msc.processes import gather, local_pool

#: Tasks of a cluster that are handed over and not yet done: so many, or two for each thread that
#: it has when the run begins.
AHEAD = 512
#: How often work that was lost without any of it succeeding is handed out again.
ATTEMPTS = 3
#: Seconds beyond its own time-out that a client may take to give up.
_GRACE = 5.0
#: Errors that say that workers were lost and nothing about the work; Dask's by name.
_LOST = (BrokenExecutor, CancelledError, ConnectionError, TimeoutError)
_LOST_NAMES = ("KilledWorker", "FutureCancelledError", "CommClosedError", "LostWorker")


@dataclass(frozen=True)
class Workers:
    """Where to run.

    Attributes
    ----------
    count : int, optional
        Processes of this machine; by default as many as there are cores.
    executor : Executor or dask.distributed.Client, optional
        What to use instead.
    scheduler : str
        Address of a Dask scheduler to use instead, such as ``"tcp://host:8786"``.
    timeout : float
        Seconds to wait for that scheduler.

    Raises
    ------
    WorkersError
        If more than one of them is given, or a number is impossible.
    """

    count: int | None = None
    executor: Any = None
    scheduler: str = ""
    timeout: float = 30.0

    def __post_init__(self) -> None:
        if self.executor is not None and self.scheduler:
            raise WorkersError("give an executor or the address of a scheduler, not both")
        if self.count is not None and self.count < 1:
            raise WorkersError(f"the number of workers is {self.count}: it must be 1 or more")
        if not self.timeout > 0:
            raise WorkersError(f"the time-out is {self.timeout:g} seconds: it must be above 0")

    @property
    def processes(self) -> int:
        """Processes of this machine that would be used."""
        return self.count or os.cpu_count() or 1

    @contextmanager
    def kept(self) -> Iterator[Self]:
        """Keep the processes of this machine from run to run: each has to start and to compile."""
        if self.executor is not None or self.scheduler or self.processes == 1:
            yield self
            return
        with _Lasting(self.processes) as pool:
            yield replace(self, executor=pool)

    def run[Item, Result](
        self, work: Callable[[Item], tuple[Any, Result]], items: Sequence[Item], place: str
    ) -> Iterator[tuple[Any, Result]]:
        """Yield ``work(item)`` of every item once, in any order.

        Work whose worker was lost is handed out again.

        Parameters
        ----------
        work : callable
            Returns where an item belongs, and its result.
        items : sequence
        place : str
            The attribute of an item that says where it belongs.

        Raises
        ------
        WorkersError
            If a scheduler does not answer, or workers are lost again and again.
        """
        left = {getattr(item, place): item for item in items}
        alone = self.executor is None and not self.scheduler
        if alone and (self.processes == 1 or len(left) == 1):
            yield from map(work, left.values())
            return
        failures = 0
        while left:
            try:
                with self._executor() as (executor, ahead):
                    for where, result in gather(executor, work, list(left.values()), ahead=ahead):
                        if left.pop(where, None) is not None:
                            failures = 0
                            yield where, result
            except Exception as error:
                if not _is_loss(error):
                    raise
                failures += 1
                if failures >= ATTEMPTS:
                    raise WorkersError(
                        f"workers were lost {failures} times in a row with {len(left)} pieces of "
                        f"work left ({type(error).__name__}: {error}): they may be out of memory. "
                        "Use fewer workers or give each more; what is finished is kept"
                    ) from error

    @contextmanager
    def _executor(self) -> Iterator[tuple[Executor, int]]:
        if self.scheduler:
            with _client(self.scheduler, self.timeout) as client:
                yield _of_client(client)
        elif self.executor is None:
            with local_pool(self.processes) as pool:
                yield pool, 2 * self.processes
        elif hasattr(self.executor, "get_executor"):
            yield _of_client(self.executor)
        else:
            yield self.executor, AHEAD


class _Lasting(Executor):
    """Processes of this machine, started when there is work; new ones where one was killed."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: Executor | None = None

    def submit[**P, T](
        self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Hand work to the processes."""
        if self._pool is not None:
            try:
                return self._pool.submit(work, *args, **kwargs)
            except BrokenExecutor:
                self._pool.shutdown()
        self._pool = local_pool(self._processes)
        return self._pool.submit(work, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait, cancel_futures=cancel_futures)


def _of_client(client: Any) -> tuple[Executor, int]:
    threads = sum(client.nthreads().values()) if hasattr(client, "nthreads") else 0
    # with pure tasks, one that was given up would be answered by its old error, not tried again
    return client.get_executor(pure=False), max(AHEAD, 2 * threads)


def _is_loss(error: Exception) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, _LOST) or bool(names & set(_LOST_NAMES))


@contextmanager
def _client(address: str, timeout: float) -> Iterator[Any]:
    """Connect to a Dask scheduler.

    Raises
    ------
    WorkersError
        If Dask is missing, or the scheduler does not answer in time.
    """
    try:
        from importlib import import_module

        import_module("distributed")
    except ImportError:
        raise WorkersError(
            "a scheduler needs Dask, which is not installed: pip install 'bayes-msc[dask]'"
        ) from None
    try:
        client = _connected(address, timeout)
    except (OSError, TimeoutError, ValueError) as error:
        said = str(error) or "not a word"
        raise WorkersError(
            f"the scheduler {address} did not answer within {timeout:g} seconds ({said}): check "
            "the address and that it is running, or wait longer with a larger time-out"
        ) from None
    try:
        yield client
    finally:
        client.close(timeout=timeout)


def _connected(address: str, timeout: float) -> Any:
    """Return a client, or give up on one that waits for ever for a word from what took its call."""
    from distributed import Client

    answer: Future[Any] = Future()

    def connect() -> None:
        try:
            answer.set_result(Client(address, timeout=timeout, set_as_default=False))
        except Exception as error:
            answer.set_exception(error)

    Thread(target=connect, daemon=True).start()
    return answer.result(timeout + _GRACE)
