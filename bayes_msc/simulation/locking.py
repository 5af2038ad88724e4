"""One process at a time in a folder: a lock of the operating system, and who holds it in words.

The system gives the lock back when its holder dies, however it dies: none is ever left behind.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bayes_msc.errors import OutputError

LOCK = ".lock"
HOLDER = ".holder.json"
#: What a lock puts into a folder: it makes no folder anybody's.
OWNED = frozenset({LOCK, HOLDER})


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other process, and every other thread, out of a folder.

    Within one thread locks of the same folder may be nested.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    OutputError
        If another one holds it (who, and since when), or it cannot be made or locked.
    """
    from filelock import FileLock, Timeout

    place = Path(folder).absolute()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}") from None
    # one object a path: a lock taken again by its own thread is counted, not waited for
    lock = FileLock(place / LOCK, timeout=0, is_singleton=True)
    nested = lock.is_locked
    try:
        lock.acquire()
    except Timeout:
        raise OutputError(_in_use(folder)) from None
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be locked against other processes ({error.strerror or error}): "
            "put the run into a folder that can be written to, on a disk that has file locks"
        ) from None
    try:
        if not nested:
            _sign(place / HOLDER)
        yield
    finally:
        if not nested:
            (place / HOLDER).unlink(missing_ok=True)
        lock.release()


def _sign(path: Path) -> None:
    """Say who holds the lock; the lock itself does not depend on it."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
    try:
        path.write_text(json.dumps(holder), encoding="utf-8")
    except OSError:
        # a full disk is found, and named, where a chunk is written
        path.unlink(missing_ok=True)


def _in_use(folder: Path) -> str:
    """Say who holds a folder, and what to do about it."""
    try:
        holder = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        who = f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        # between taking the lock and saying so
        who = "another process, which has only just begun"
    return (
        f"{folder} is in use: a run goes on in it ({who}). Wait until it has ended or stop it, "
        "then run the same command again; or name another folder with --out"
    )
