"""The figures of a report: SVG at once, PNG when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bayes_msc import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Pictures(Mapping[str, str]):
    """SVG text by figure name; ``png`` gives the same figures at 300 dpi.

    Parameters
    ----------
    figures : Mapping of str to matplotlib.figure.Figure
        What the functions of ``plots`` returned, by name.
    """

    def __init__(self, figures: Mapping[str, Figure]) -> None:
        self._figures = dict(figures)
        self._svg = {name: plots.to_svg(figure, name) for name, figure in figures.items()}
        self._png: dict[str, bytes] = {}

    def __getitem__(self, name: str) -> str:
        return self._svg[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._svg)

    def __len__(self) -> int:
        return len(self._svg)

    def with_more(self, figures: Mapping[str, Figure]) -> Pictures:
        """Return these pictures and others, which take the place of those of the same name."""
        return Pictures({**self._figures, **figures})

    def only(self, names: Sequence[str]) -> Pictures:
        """Return those of these names; names without a picture are passed over."""
        return Pictures({name: f for name, f in self._figures.items() if name in names})

    @property
    def png(self) -> Mapping[str, bytes]:
        """PNG by figure name; drawn when first asked for, as that takes a while."""
        for name, figure in self._figures.items():
            if name not in self._png:
                self._png[name] = plots.to_png(figure)
        return self._png
