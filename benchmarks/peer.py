"""Another program that fits the same model, kept in a process of its own so that it compiles once.

The process is handed the path of a JSON file with the trial and the priors, says ``@ready`` when it
has compiled, and then answers every line on its standard input, a request in JSON, with a JSON file
of draws. It measures the time of the refit itself.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bayes_msc.model import Model
from bayes_msc.rows import arrange
from bayes_msc.trial import Trial

SCRIPTS = Path(__file__).parent / "peers"
#: Seconds that a peer may take to compile, and for one refit.
PATIENCE = 600.0


class PeerError(RuntimeError):
    """A peer that is not installed, or failed."""


@dataclass(frozen=True)
class Ask:
    """One refit that is asked for; ``trial``, from ``exchange``, takes the place of the first."""

    seed: int
    chains: int
    tune: int
    draws: int
    cores: int
    target_accept: float
    trial: dict[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Refit:
    """One refit: its time, its draws of shape (chains, draws), its divergences."""

    seconds: float
    draws: dict[str, NDArray[np.float64]]
    divergences: int


def exchange(model: Model, trial: Trial) -> dict[str, Any]:
    """Everything that a peer needs to fit the same model to the same trial.

    Columns and prior numbers are those that the model's own graph is built from.
    """
    rows = arrange(trial, model)
    design = {name: rows.flat(rows.design[..., k]) for k, name in enumerate(rows.coefficients)}
    columns = {
        "count": rows.flat(rows.count),
        "log_exposure": rows.flat(rows.log_exposure),
        "treated": design["log_rate_ratio"],
        "second": design["period_effect"],
    }
    priors = model.priors_for(trial)
    numbers = {
        name: dict(zip(prior.names, map(float, prior.parameters), strict=True))
        for name, prior in priors.items()
    }
    return {
        **{name: column.tolist() for name, column in columns.items()},
        "patient": (rows.patient_index + 1).tolist(),
        "priors": numbers,
    }


def r_version(package: str) -> str:
    """Version of an R package.

    Raises
    ------
    PeerError
        If there is no R, or no such package.
    """
    if shutil.which("Rscript") is None:
        raise PeerError("Rscript is not installed")
    code = f'cat(as.character(packageVersion("{package}")))'
    found = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=False)
    if found.returncode:
        raise PeerError(f"the R package {package} is not installed")
    return found.stdout.strip()


def r_command(name: str) -> list[str]:
    """Command of a peer in R."""
    return ["Rscript", str(SCRIPTS / f"{name}.R")]


class Peer:
    """A running peer.

    Parameters
    ----------
    command : sequence of str
        The path of the JSON file is put behind it.
    data : dict
        From ``exchange``.

    Raises
    ------
    PeerError
        If it does not get ready; with the end of what it wrote to standard error.
    """

    def __init__(self, command: Sequence[str], data: dict[str, Any]) -> None:
        self._folder = TemporaryDirectory()
        folder = Path(self._folder.name)
        (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
        self._out = folder / "out.json"
        self._errors = folder / "errors.txt"
        try:
            with self._errors.open("w") as errors:
                self._process = subprocess.Popen(
                    [*command, str(folder / "data.json")],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                )
        except OSError as error:
            self._folder.cleanup()
            raise PeerError(f"{command[0]}: {error.strerror}") from None
        try:
            self._wait_for("@ready")
        except PeerError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def refit(self, ask: Ask) -> Refit:
        """Ask for one refit.

        Raises
        ------
        PeerError
            If the peer failed or took longer than ``PATIENCE``.
        """
        assert self._process.stdin is not None
        request = json.dumps({**asdict(ask), "out": str(self._out)})
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except OSError:
            raise PeerError(self._last_words()) from None
        self._wait_for("@done")
        answer = json.loads(self._out.read_text(encoding="utf-8"))
        draws = {name: np.array(value, dtype=float) for name, value in answer["draws"].items()}
        return Refit(float(answer["seconds"]), draws, int(answer["divergences"]))

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def _wait_for(self, word: str) -> None:
        assert self._process.stdout is not None
        clock = threading.Timer(PATIENCE, self._process.kill)
        clock.start()
        try:
            for line in self._process.stdout:
                if line.strip() == word:
                    return
        finally:
            clock.cancel()
        self._process.wait()
        raise PeerError(self._last_words())

    def _last_words(self) -> str:
        lines = self._errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return "failed: " + (" ".join(lines[-2:])[-300:] if lines else "without a word")
