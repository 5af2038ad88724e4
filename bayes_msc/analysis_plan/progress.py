"""Progress of a plan with the time that is left, from what its steps should take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bayes_msc.analysis_plan.steps import Step, duration

Begin = Callable[[str], None]


@dataclass
class Clock:
    """How far a plan is, and how much longer it should take.

    What the finished steps took, over what they should have taken, corrects the rest.

    Attributes
    ----------
    steps : sequence of Step
    now : callable
        Seconds on a clock that never goes back.
    """

    steps: Sequence[Step]
    now: Callable[[], float] = time.monotonic
    _at: int = -1
    _started: float = 0.0
    _taken: list[float] = field(default_factory=list)

    def begin(self, name: str) -> None:
        """Begin the step of this name; those before it are done."""
        moment = self.now()
        if self._at >= 0:
            self._taken.append(moment - self._started)
        names = [step.name for step in self.steps]
        self._at, self._started = names.index(name), moment

    @property
    def step(self) -> Step:
        """The step at work."""
        return self.steps[max(self._at, 0)]

    @property
    def place(self) -> str:
        """Which step of how many."""
        return f"{max(self._at, 0) + 1} of {len(self.steps)}"

    def speed(self) -> float:
        """Seconds that one expected second takes here."""
        expected = sum(step.seconds for step in self.steps[: len(self._taken)])
        return min(max(sum(self._taken) / expected, 0.1), 20.0) if expected > 0 else 1.0

    def left(self) -> float:
        """Seconds that should be left."""
        rest = sum(step.seconds for step in self.steps[self._at + 1 :])
        running = self.step.seconds * self.speed() - (self.now() - self._started)
        return max(running, 0.0) + rest * self.speed()

    def share(self) -> float:
        """Share of the work that should be done, below 1."""
        spent = sum(self._taken) + self.now() - self._started
        return min(spent / max(spent + self.left(), 1e-9), 0.99)


@contextmanager
def shown(steps: Sequence[Step], wanted: bool | None) -> Iterator[Begin]:
    """Show a bar with the time left on a terminal, and one line a step elsewhere.

    Parameters
    ----------
    steps : sequence of Step
    wanted : bool, optional
        By default where there is a terminal to show it on.

    Yields
    ------
    callable
        To be called with the name of each step that begins.
    """
    terminal = sys.stderr.isatty()
    clock = Clock(merged(steps))
    if not (terminal if wanted is None else wanted):
        yield clock.begin
    elif terminal:
        with _bar(clock):
            yield clock.begin
    else:

        def begin(name: str) -> None:
            clock.begin(name)
            line = (
                f"[{clock.place}] {name}: {clock.step.what} (about {duration(clock.left())} left)"
            )
            print(line, file=sys.stderr, flush=True)

        yield begin


def merged(steps: Sequence[Step]) -> list[Step]:
    """Take the single analyses of sensitivity as one step, as they are run in one call."""
    first = [step for step in steps if not step.name.startswith("sensitivity")]
    parts = [step for step in steps if step.name.startswith("sensitivity")]
    if not parts:
        return first
    names = ", ".join(step.name.removeprefix("sensitivity: ") for step in parts)
    whole = Step("sensitivity", names, sum(s.fits for s in parts), sum(s.seconds for s in parts))
    report = [step for step in first if step.name == "report"]
    return [*(step for step in first if step.name != "report"), whole, *report]


@contextmanager
def _bar(clock: Clock) -> Iterator[None]:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, Task
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    class Words(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{clock.place}: {clock.step.name}")

    class Bar(ProgressColumn):
        def render(self, task: Task) -> ProgressBar:
            return ProgressBar(total=1.0, completed=clock.share(), width=40)

    class Left(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"about {duration(clock.left())} left")

    with Progress(Words(), Bar(), Left(), console=Console(stderr=True), transient=True) as bar:
        bar.add_task("plan", total=None)
        yield
