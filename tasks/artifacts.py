"""What a run shows in the Prefect UI, under keys that stay the same from run to run."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.events import emit_event

from tasks.steps import in_flow_run


def show_markdown(key: str, markdown: str, description: str) -> None:
    if in_flow_run():
        create_markdown_artifact(markdown, key=key, description=description)


def show_table(key: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    if in_flow_run():
        create_table_artifact([dict(row) for row in rows], key=key, description=description)


def show_picture(key: str, png: bytes, description: str) -> None:
    """The picture itself, as a data URL: the UI needs no other server to show it."""
    if in_flow_run():
        url = "data:image/png;base64," + base64.b64encode(png).decode()
        create_image_artifact(url, key=key, description=description)


def tell(event: str, resource: str, payload: Mapping[str, Any]) -> None:
    """An event that automations can act on, such as `fraudline.model.promoted`."""
    if in_flow_run():
        emit_event(event, resource={"prefect.resource.id": resource}, payload=dict(payload))
