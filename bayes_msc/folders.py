"""Write a folder in one step, or not at all: made beside its place, then moved by renames."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bayes_msc.errors import OutputError


def check_free(folder: Path, owned: Sequence[str], force: bool) -> None:
    """Refuse a folder before long work is done for it.

    Parameters
    ----------
    folder : Path
    owned : sequence of str
        Names in the folder that the results would take.
    force : bool
        Whether they may be replaced.

    Raises
    ------
    OutputError
        If it is a file, or holds such results and ``force`` is false.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: name a folder for the results")
    there = [name for name in owned if (folder / name).exists()]
    if there and not force:
        raise OutputError(
            f"{folder} holds results already ({', '.join(there)}): "
            "choose another folder, or replace them with --force"
        )


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn an error of the operating system into one that names the place.

    Raises
    ------
    OutputError
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be written ({reason}): choose another place") from error


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Give a new folder on the target's own disk; nothing of it remains when anything fails."""
    place = folder if folder.is_dir() else _parent(folder)
    with tempfile.TemporaryDirectory(prefix=".results-", dir=place) as temporary:
        stage = Path(temporary) / "new"
        stage.mkdir()
        yield stage


def _parent(path: Path) -> Path:
    parent = path.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    return parent


def put(folder: Path, stage: Path, owned: Sequence[str]) -> None:
    """Move finished results to their place: by one rename where the folder is new.

    Old results are exchanged for new ones, and put back if one step fails.
    """
    if not folder.exists():
        stage.replace(folder)
        return
    backup = stage.parent / "old"
    backup.mkdir()
    old = [name for name in owned if (folder / name).exists()]
    new = [name for name in owned if (stage / name).exists()]
    moved: list[tuple[Path, Path]] = []
    steps = [(folder / name, backup / name) for name in old]
    steps += [(stage / name, folder / name) for name in new]
    try:
        for source, target in steps:
            source.replace(target)
            moved.append((source, target))
    except BaseException:
        for source, target in reversed(moved):
            target.replace(source)
        raise
