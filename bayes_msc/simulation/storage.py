"""Where the trials of a run are kept: in memory, or in a folder of Parquet files."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from bayes_msc.errors import OutputError
from bayes_msc.files import replace_file
from bayes_msc.simulation.chunk import NAMES

MANIFEST = "plan.json"
_CHUNK = re.compile(r"chunk-(\d{7})\.parquet")
Place = tuple[str, int]


class Store(Protocol):
    """Keeps finished chunks."""

    def done(self, cell: str) -> set[int]:
        """Numbers of a cell's chunks that are there."""

    def put(self, place: Place, rows: pd.DataFrame) -> None:
        """Keep a chunk."""

    def read(self, chunks: Mapping[str, int], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the first so many chunks of each cell, in order."""


class Memory:
    """Chunks in memory."""

    def __init__(self) -> None:
        self._chunks: dict[str, dict[int, pd.DataFrame]] = defaultdict(dict)

    def done(self, cell: str) -> set[int]:
        """Numbers of a cell's chunks that are there."""
        return set(self._chunks[cell])

    def put(self, place: Place, rows: pd.DataFrame) -> None:
        """Keep a chunk."""
        self._chunks[place[0]][place[1]] = rows

    def read(self, chunks: Mapping[str, int], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the first so many chunks of each cell, in order."""
        parts = [self._chunks[cell][k] for cell, count in chunks.items() for k in range(count)]
        table = pd.concat(parts, ignore_index=True)
        return table if columns is None else table[list(columns)]


class RunFolder:
    """Chunks in a folder, each a Parquet file that is there whole or not at all.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    plan : mapping, optional
        What makes the run what it is; a folder that was begun with another plan is refused. Without
        it the folder must hold a run.

    Raises
    ------
    OutputError
        If the folder belongs to another plan or holds something else, or cannot be written to.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        manifest = self.folder / MANIFEST
        if manifest.is_file():
            self.plan = _read(manifest)
            if plan is not None and self.plan != json.loads(json.dumps(plan)):
                raise OutputError(
                    f"{self.folder} holds the run of another plan ({_difference(self.plan, plan)}):"
                    " name another folder with --out, or run the plan that it was begun with"
                )
            self._sweep()
            return
        if plan is None:
            raise OutputError(f"{self.folder} holds no run: there is no {MANIFEST} in it")
        if self.folder.is_dir() and any(self.folder.iterdir()):
            raise OutputError(
                f"{self.folder} is not empty and holds no run: name a new or an empty folder"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be made: {error.strerror}") from None
        text = json.dumps(plan, indent=1, sort_keys=True)
        replace_file(manifest, lambda path: path.write_text(text, encoding="utf-8"), force=True)
        self.plan = dict(plan)

    def _sweep(self) -> None:
        """Remove what a killed run was in the middle of writing."""
        for leftover in self.folder.glob("*/.chunk-*"):
            leftover.unlink(missing_ok=True)

    def path(self, place: Place) -> Path:
        """Where a chunk stands."""
        return self.folder / place[0] / f"chunk-{place[1]:07d}.parquet"

    def done(self, cell: str) -> set[int]:
        """Numbers of a cell's chunks that are there."""
        folder = self.folder / cell
        if not folder.is_dir():
            return set()
        found = (_CHUNK.fullmatch(path.name) for path in folder.iterdir())
        return {int(match[1]) for match in found if match}

    def put(self, place: Place, rows: pd.DataFrame) -> None:
        """Keep a chunk: the file appears when it is complete.

        Raises
        ------
        OutputError
            If it cannot be written, for example on a full disk.
        """
        path = self.path(place)

        def write(temporary: Path) -> None:
            _to_parquet(rows, temporary)
            # whole on the disk before it gets its name
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())

        try:
            path.parent.mkdir(exist_ok=True)
            replace_file(path, write, force=True)
        except (OSError, OutputError) as error:
            raise OutputError(
                f"a chunk could not be written, all before it are kept ({error}): free some space "
                "and run the same command again, it goes on from there"
            ) from None

    def read(self, chunks: Mapping[str, int], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the first so many chunks of each cell, in order, and only these columns."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        parts = []
        for cell, count in chunks.items():
            for k in range(count):
                path = self.path((cell, k))
                try:
                    parts.append(pq.read_table(path, columns=columns and list(columns)))
                except (OSError, pa.ArrowInvalid) as error:
                    raise OutputError(
                        f"{path} cannot be read ({error}): remove it and run the same command again"
                    ) from None
        table: pd.DataFrame = pa.concat_tables(parts).unify_dictionaries().to_pandas()
        return table


def _to_parquet(rows: pd.DataFrame, path: Path) -> None:
    """Write rows; names and kinds take a number each, and a text once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
    for name in (*NAMES, "kind", "engine"):
        at = table.schema.get_field_index(name)
        text = table.column(name).cast(pa.string()).combine_chunks()
        table = table.set_column(at, name, text.dictionary_encode())
    pq.write_table(table, path, compression="zstd")


def _read(manifest: Path) -> dict[str, Any]:
    try:
        plan: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{manifest} cannot be read: {error}") from None
    return plan


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Name the parts of two plans that differ."""
    names = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return f"different: {', '.join(names)}"
