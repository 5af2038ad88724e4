"""The commands that list what comes with the package, and show it."""

from __future__ import annotations

from typing import Annotated

import typer

from bayes_msc.errors import TrialError
from bayes_msc.terminal import listing

models_app = typer.Typer(help="List the model cards, or show one.", invoke_without_command=True)
datasets_app = typer.Typer(
    help="List the bundled trials, or show one.", invoke_without_command=True
)


@models_app.callback()
def models(context: typer.Context) -> None:
    """List the model cards."""
    if context.invoked_subcommand is None:
        from bayes_msc.model import Model

        cards = [Model.load(name) for name in Model.names()]
        listing("Model cards", [(card.name, card.title) for card in cards])


@models_app.command("show")
def modelsshow(
    name: Annotated[str, typer.Argument(help="A card's name, or a TOML file of yours.")],
) -> None:
    """Show one model card as TOML, ready to be copied and changed."""
    from bayes_msc.model import Model

    typer.echo(Model.load(name).to_toml(), nl=False)


@datasets_app.callback()
def datasets(context: typer.Context) -> None:
    """List the bundled trials."""
    if context.invoked_subcommand is None:
        from bayes_msc.datasets import load_card, trial_names
        from bayes_msc.published import load_published, published_names

        listing(
            "Printed results, for bayes-msc reanalyze",
            [(name, load_published(name).title) for name in published_names()],
        )
        listing(
            "Counts of every patient, for bayes-msc fit",
            [(name, load_card(name).title) for name in trial_names()],
        )


@datasets_app.command("show")
def datasetsshow(name: Annotated[str, typer.Argument(help="A bundled trial.")]) -> None:
    """Show one bundled trial with its source and certainty."""
    from bayes_msc.datasets import load_card, load_trial, trial_names
    from bayes_msc.errors import one_of
    from bayes_msc.published import load_published, published_names

    if name in published_names():
        typer.echo(load_published(name).to_toml(), nl=False)
        return
    one_of(name, (*published_names(), *trial_names()), "data set", TrialError)
    card = load_card(name)
    typer.echo(load_trial(name))
    for words in (card.description, card.argument, card.source, card.licence):
        if words:
            typer.echo(f"\n{words.strip()}")
