"""Formulas as MathML, written by docutils when the page is built: no script, no other host."""

from __future__ import annotations

import html
from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def _mathml(latex: str, block: bool) -> str:
    try:
        return str(latex2mathml.tex2mathml(latex, as_block=block))
    except latex2mathml.MathError as error:
        raise ExtensionError(f"this formula cannot be written as MathML: {latex}") from error


def inline(self: Any, node: nodes.math) -> None:
    self.body.append(_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def block(self: Any, node: nodes.math_block) -> None:
    label = html.escape(" ".join(node["ids"]), quote=True)
    anchor = f' id="{label}"' if label else ""
    self.body.append(f'<div class="formula"{anchor}>{_mathml(node.astext(), block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
