"""What a run shows in the Prefect UI, under keys that stay the same from run to run."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prefect import runtime
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.settings import get_current_settings

from tasks.steps import in_flow_run


def show_markdown(key: str, markdown: str, description: str) -> None:
    if in_flow_run():
        create_markdown_artifact(markdown, key=_slug(key), description=description)


def show_table(key: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    if in_flow_run():
        create_table_artifact([dict(row) for row in rows], key=_slug(key), description=description)


def show_picture(key: str, png: bytes, description: str) -> None:
    """The picture itself, as a data URL: the UI needs no other server to show it."""
    if in_flow_run():
        url = "data:image/png;base64," + base64.b64encode(png).decode()
        create_image_artifact(url, key=_slug(key), description=description)


def tell(event: str, resource: str, payload: Mapping[str, Any]) -> None:
    """An event that automations can act on, such as `fraudline.model.promoted`; none where no server listens."""
    if in_flow_run() or get_current_settings().api.url:
        emit_event(event, resource={"prefect.resource.id": resource}, payload=dict(payload))


def tag_run(**tags: str | Iterable[str]) -> None:
    """Add `name:value` tags to this run, by which the UI finds all runs of a contract, a version or a shard."""
    if in_flow_run():
        values = {name: [value] if isinstance(value, str) else value for name, value in tags.items()}
        added = {f"{name}:{value}" for name, several in values.items() for value in several}
        with get_client(sync_client=True) as client:
            # What the server has, for the context keeps the tags that the run began with.
            known = client.read_flow_run(runtime.flow_run.id).tags
            client.update_flow_run(runtime.flow_run.id, tags={*known, *added})


def _slug(key: str) -> str:
    """A key as Prefect allows them: lowercase letters, digits and dashes.

    >>> _slug("stream-My_stream.v2")
    'stream-my-stream-v2'
    """
    return re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
