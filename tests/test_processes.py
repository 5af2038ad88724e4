"""The end of a process: the search for garbage is skipped, and everything else still happens."""

from __future__ import annotations

import subprocess
import sys

ENDING = """
import atexit, gc
from bayes_msc.processes import exit_at_once
atexit.register(lambda: print(len(gc.get_objects()), gc.get_freeze_count()))
exit_at_once()
"""


def test_nothing_is_left_to_search_at_the_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDING], capture_output=True, text=True, check=True, timeout=60
    )
    left, frozen = map(int, done.stdout.split())
    assert left < 100
    assert frozen > 1000


def test_the_command_ends_so() -> None:
    code = "import sys; sys.argv = ['bayes-msc', '--version']\n" + ENDING.replace(
        "exit_at_once()\n", "from bayes_msc.cli import main; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    version, numbers = done.stdout.splitlines()
    assert version.startswith("bayes-msc ")
    left, frozen = map(int, numbers.split())
    assert left < 1000 < frozen
