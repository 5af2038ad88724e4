"""Write files whole or not at all, and never over something without being asked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from bayes_msc.errors import OutputError


def replace_file(path: Path, write: Callable[[Path], object], *, force: bool) -> Path:
    """Let ``write`` make a temporary file beside ``path``, then move it into place.

    Parameters
    ----------
    path : Path
        Where the file is to stand.
    write : callable
        Gets the temporary path and writes it.
    force : bool
        Whether a file that is there may be replaced.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    OutputError
        If there is something already, or the folder is missing or cannot be written to.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder: name a file in it")
    if path.exists() and not force:
        raise OutputError(f"{path} is there already: choose another name, or ask for force")
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist: make it first")
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
    except OSError as error:
        raise OutputError(f"{path.parent} cannot be written to: {error.strerror}") from None
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return path
