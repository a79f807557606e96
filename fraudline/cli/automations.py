"""`fraudline automations` and `fraudline notifier`."""

from typing import Annotated

import typer

from fraudline.cli.common import JsonOption, err, names_server, print_json, print_rows
from fraudline.cli.status import use_stack
from fraudline.errors import BadInput, NotReady

# Between two looks whether to stop.
_POLL_SECONDS = 0.5


def register(app: typer.Typer) -> None:
    app.command()(automations)
    app.command()(notifier)


def automations(
    webhook: Annotated[
        str, typer.Option(help="Where notifications are POSTed as JSON: Slack, Teams or your own.")
    ] = "",
    sns: Annotated[
        bool,
        typer.Option("--sns", help="Publish them to the alarms topic: `fraudline notifier` does it."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Create or update the Prefect server's automations: who hears of failed and late runs, bad data, stuck shards.

    May be called again at any time; automations that others made are left alone.
    """
    if bool(webhook) == sns:
        raise BadInput("say where notifications go: either --webhook https://... or --sns")
    if webhook and not webhook.startswith(("http://", "https://")):
        raise BadInput(f"--webhook {webhook!r} is no address: write it as https://...")
    from fraudline.errors import Unavailable

    use_stack()
    if not names_server():
        # Prefect would start one of its own, which nobody looks at, and lose it with this command.
        raise NotReady("no Prefect server is named: set PREFECT_API_URL, or start one with `fraudline up`")
    import httpx

    from fraudline.adapters.automations import apply
    from fraudline.adapters.notifier import address

    try:
        names = apply(address() if sns else webhook)
    except httpx.HTTPError as error:
        raise Unavailable(f"the Prefect server did not answer ({error}): look at PREFECT_API_URL") from error
    if json:
        print_json({"automations": names})
    else:
        print_rows("Automations", [{"name": name} for name in names])


def notifier(
    port: Annotated[int, typer.Option(help="Where it listens on 127.0.0.1, for the Prefect server beside it.")] = 4280,
) -> None:
    """Publish what automations tell to the alarms topic (FRAUDLINE_ALARMS_TOPIC_ARN), until stopped."""
    from fraudline.adapters.aws.clients import client
    from fraudline.adapters.notifier import address
    from fraudline.adapters.notifier import notifier as server_of
    from fraudline.settings import load_settings
    from tasks.stopping import stop_flag

    topic = load_settings().alarms_topic_arn
    if topic is None:
        raise NotReady("no alarms topic: set FRAUDLINE_ALARMS_TOPIC_ARN to the ARN of the topic that people listen to")
    try:
        server = server_of(client("sns"), topic, port)
    except OSError as error:
        raise BadInput(f"port {port} cannot be used ({error}): stop what listens there or name another") from error
    with server, stop_flag() as stop:
        err.print(f"Publishing what {address(port)} is told to {topic}", highlight=False)
        server.timeout = _POLL_SECONDS
        while not stop():
            server.handle_request()
