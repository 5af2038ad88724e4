"""The command ``bayes-msc``. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape

from bayes_msc.cli.analysis import fit, reanalyze, template
from bayes_msc.cli.library import datasets_app, models_app
from bayes_msc.cli.options import BAD_INPUT, STOPPED
from bayes_msc.cli.plans import check, init, run
from bayes_msc.cli.reconstruction import reconstruct
from bayes_msc.cli.robustness import sensitivity
from bayes_msc.cli.simulation import simulate
from bayes_msc.errors import BayesMSCError
from bayes_msc.processes import exit_at_once
from bayes_msc.report_commands import report, verify
from bayes_msc.terminal import console, errors

app = typer.Typer(
    help="What a small trial of counts really showed: posterior probabilities of benefit.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (
    *(init, check, run),
    *(reanalyze, fit, sensitivity, reconstruct, simulate, template, report, verify),
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(models_app, name="models")
app.add_typer(datasets_app, name="datasets")


def _version(wanted: bool) -> None:
    if wanted:
        from bayes_msc import __version__

        console.print(f"bayes-msc {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What a small trial of counts really showed: posterior probabilities of benefit."""


def main() -> None:
    """Run the command; bad input ends in a message of a few lines and exit code 2."""
    exit_at_once()
    try:
        app()
    except BayesMSCError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(BAD_INPUT)
    except SystemExit as end:
        # typer turns Ctrl-C into this exit code without a word
        if end.code == STOPPED:
            errors.print("stopped: nothing was written")
        raise
