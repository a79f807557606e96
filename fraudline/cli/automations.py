"""`fraudline automations`."""

from typing import Annotated

import typer

from fraudline.cli.common import JsonOption, print_json, print_rows
from fraudline.errors import BadInput


def register(app: typer.Typer) -> None:
    app.command()(automations)


def automations(
    webhook: Annotated[str, typer.Option(help="Where notifications are POSTed as JSON: Slack, Teams or your own.")],
    json: JsonOption = False,
) -> None:
    """Create or update the Prefect server's automations: who hears of failed and late runs, bad data, stuck shards.

    May be called again at any time; automations that others made are left alone.
    """
    if not webhook.startswith(("http://", "https://")):
        raise BadInput(f"--webhook {webhook!r} is no address: write it as https://...")
    from fraudline.cli.status import use_stack
    from fraudline.errors import Unavailable

    use_stack()
    import httpx

    from fraudline.adapters.automations import apply

    try:
        names = apply(webhook)
    except httpx.HTTPError as error:
        raise Unavailable(f"the Prefect server did not answer ({error}): look at PREFECT_API_URL") from error
    if json:
        print_json({"automations": names})
    else:
        print_rows("Automations", [{"name": name} for name in names])
