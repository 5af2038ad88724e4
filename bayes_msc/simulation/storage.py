"""Where the trials of a run are kept: in memory, or in a folder of Parquet files.

A chunk is a file of its own until the hundred of its block are there: then they become one file, so
that a million trials are some hundred files and are read in a second.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from bayes_msc.errors import OutputError
from bayes_msc.files import replace_file
from bayes_msc.simulation.chunk import NAMES
from bayes_msc.simulation.locking import OWNED, locked

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "plan.json"
#: Chunks of a block: files of a run are few, and little is written twice.
SPAN = 100
#: Rows that are in memory at once where a run is gone through in parts.
PART = 200_000
_CHUNK = re.compile(r"chunk-(\d{7})\.parquet")
_BLOCK = re.compile(r"block-(\d{5})\.parquet")
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
        self._loose: dict[str, set[int]] = {}
        manifest = self.folder / MANIFEST
        if manifest.is_file():
            self.plan = _read(manifest)
            if plan is not None and self.plan != json.loads(json.dumps(plan)):
                raise OutputError(
                    f"{self.folder} holds the run of another plan ({_difference(self.plan, plan)}):"
                    " name another folder with --out, or run the plan that it was begun with"
                )
            if plan is not None:
                self._tidy()
            return
        if plan is None:
            raise OutputError(f"{self.folder} holds no run: there is no {MANIFEST} in it")
        _refuse_other(self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be made: {error.strerror}") from None
        text = json.dumps(plan, indent=1, sort_keys=True)
        replace_file(manifest, lambda path: path.write_text(text, encoding="utf-8"), force=True)
        self.plan = dict(plan)

    def _tidy(self) -> None:
        """Finish what a killed run was in the middle of."""
        for leftover in self.folder.glob("*/.*.parquet*"):
            leftover.unlink(missing_ok=True)
        for cell in self.plan["cells"]:
            for block in self._numbers(cell, _BLOCK):
                self._drop(cell, block)
            for block in {k // SPAN for k in self._loose_of(cell)}:
                self._close(cell, block)

    def path(self, place: Place) -> Path:
        """Where a chunk stands until its block is complete."""
        return self.folder / place[0] / f"chunk-{place[1]:07d}.parquet"

    def block(self, cell: str, number: int) -> Path:
        """Where the chunks ``number * SPAN`` and after stand once all of them are there."""
        return self.folder / cell / f"block-{number:05d}.parquet"

    def _numbers(self, cell: str, kind: re.Pattern[str]) -> set[int]:
        folder = self.folder / cell
        if not folder.is_dir():
            return set()
        found = (kind.fullmatch(path.name) for path in folder.iterdir())
        return {int(match[1]) for match in found if match}

    def done(self, cell: str) -> set[int]:
        """Numbers of a cell's chunks that are there."""
        loose = self._numbers(cell, _CHUNK)
        # looked for second: a block that is made meanwhile holds what was loose
        whole = self._numbers(cell, _BLOCK)
        return loose.union(*(_chunks_of(block) for block in whole))

    def put(self, place: Place, rows: pd.DataFrame) -> None:
        """Keep a chunk: the file appears when it is complete.

        Raises
        ------
        OutputError
            If it cannot be written, for example on a full disk.
        """
        cell, chunk = place
        try:
            self.path(place).parent.mkdir(exist_ok=True)
            _write(self.path(place), lambda path: _to_parquet(rows, path))
            self._loose_of(cell).add(chunk)
            self._close(cell, chunk // SPAN)
        except (OSError, OutputError) as error:
            raise OutputError(
                f"a chunk could not be written, all before it are kept ({error}): free some space "
                "and run the same command again, it goes on from there"
            ) from None

    def _close(self, cell: str, block: int) -> None:
        """Make one file of a block's chunks if all of them are there."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        chunks = _chunks_of(block)
        if not self._loose_of(cell).issuperset(chunks):
            return
        whole = pa.concat_tables([_read_table(self.path((cell, k))) for k in chunks])
        table = whole.unify_dictionaries().combine_chunks()
        _write(self.block(cell, block), lambda path: pq.write_table(table, path, **_WRITING))
        self._drop(cell, block)

    def _drop(self, cell: str, block: int) -> None:
        """Remove the chunks that a block holds."""
        for k in _chunks_of(block):
            self.path((cell, k)).unlink(missing_ok=True)
        self._loose_of(cell).difference_update(_chunks_of(block))

    def _loose_of(self, cell: str) -> set[int]:
        """Chunks of a cell that are files of their own; looked for once."""
        if cell not in self._loose:
            self._loose[cell] = self._numbers(cell, _CHUNK)
        return self._loose[cell]

    def read(self, chunks: Mapping[str, int], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the first so many chunks of each cell, in order, and only these columns."""
        return _frame(list(self._tables(chunks, columns)))

    def parts(
        self, chunks: Mapping[str, int], columns: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the same rows as ``read`` does, a part at a time: some ``PART`` rows."""
        held: list[pa.Table] = []
        for table in self._tables(chunks, columns):
            held.append(table)
            if sum(one.num_rows for one in held) >= PART:
                yield _frame(held)
                held = []
        if held:
            yield _frame(held)

    def _tables(
        self, chunks: Mapping[str, int], columns: Sequence[str] | None
    ) -> Iterator[pa.Table]:
        for cell, count in chunks.items():
            for block in range(-(-count // SPAN)):
                wanted = min(SPAN, count - block * SPAN)
                yield from self._of_block(cell, block, wanted, columns)

    def _of_block(
        self, cell: str, block: int, wanted: int, columns: Sequence[str] | None
    ) -> list[pa.Table]:
        """Read the first so many chunks of a block, from the one file or from theirs."""
        path = self.block(cell, block)
        if not path.is_file():
            loose = _chunks_of(block)[:wanted]
            try:
                return [_read_table(self.path((cell, k)), columns) for k in loose]
            except OutputError:
                # a run that is under way may have made the block meanwhile
                if not path.is_file():
                    raise
        table = _read_table(path, columns)
        # every chunk holds as many trials
        return [table.slice(0, table.num_rows // SPAN * wanted)]


@contextmanager
def run_folder(folder: Path, plan: Mapping[str, Any]) -> Iterator[RunFolder]:
    """Give the folder of a run, and keep other processes out of it meanwhile.

    Parameters
    ----------
    folder : Path
    plan : mapping
        As for `RunFolder`.

    Raises
    ------
    OutputError
        If a run is going on in it, and where `RunFolder` raises it.
    """
    # looked at before a lock is put into what may be somebody's letters
    _refuse_other(folder)
    with locked(folder):
        yield RunFolder(folder, plan)


def _refuse_other(folder: Path) -> None:
    """Raise if there is something in a folder, but no run."""
    if not folder.is_dir() or (folder / MANIFEST).is_file():
        return
    if any(path.name not in OWNED for path in folder.iterdir()):
        raise OutputError(f"{folder} is not empty and holds no run: name a new or an empty folder")


_WRITING: dict[str, Any] = {"compression": "zstd"}


def _chunks_of(block: int) -> range:
    return range(block * SPAN, (block + 1) * SPAN)


def _write(path: Path, write: Callable[[Path], object]) -> None:
    def whole(temporary: Path) -> None:
        write(temporary)
        # whole on the disk before it gets its name
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())

    replace_file(path, whole, force=True)


def _read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # the function for whole data sets takes twice as long for a file of this size
        with pq.ParquetFile(path) as file:
            return file.read(columns=columns and list(columns), use_threads=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise OutputError(
            f"{path} cannot be read ({error}): remove it and run the same command again"
        ) from None


def _frame(tables: Sequence[pa.Table]) -> pd.DataFrame:
    import pyarrow as pa

    table: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
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
    pq.write_table(table, path, **_WRITING)


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
