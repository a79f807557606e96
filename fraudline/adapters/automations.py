"""Automations of the Prefect server as code: who is told what, and what becomes of runs that died without a word.

Applying them again changes nothing but what has changed here or the address; what people made by hand stays.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from pydantic import SecretStr

BLOCK = "fraudline-alerts"
PREFIX = "fraudline: "
# Every run of ours carries the deployment's tag.
_OURS = {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.fraudline"}
_ENDED = ("Completed", "Failed", "Cancelled", "Crashed")
# Three heartbeats (the job variables in prefect.yaml say how often) and some patience.
SILENCE = timedelta(seconds=100)
# What chat tools show is `text`; the rest is for programs.
_PAYLOAD = """{
  "text": {{ (automation.name ~ ": " ~ (event.resource.name or event.resource.id)) | tojson }},
  "event": {{ event.event | tojson }},
  "resource": {{ event.resource.id | tojson }},
  "occurred": {{ event.occurred | string | tojson }},
  "details": {{ event.payload | tojson }}
}"""


class Notice(NamedTuple):
    """Something people want to hear of: which events say so, about our runs only or about anything of ours."""

    name: str
    description: str
    events: tuple[str, ...]
    of_runs: bool = False


NOTICES = (
    Notice(
        "a run failed or crashed",
        "A flow ended with an error, or its process died. The run's message says what to do.",
        ("prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"),
        of_runs=True,
    ),
    Notice(
        "a run is late",
        "A scheduled run has not begun: no worker is online, or all are busy.",
        ("prefect.flow-run.Late",),
        of_runs=True,
    ),
    Notice("data quality failed", "A window is not fit for use.", ("fraudline.data_quality.failed",)),
    Notice("a shard is stuck or expired", "Records wait and nothing moves.", ("fraudline.stream.flagged",)),
    Notice(
        "drift or skew",
        "The data has moved, or two paths disagree.",
        ("fraudline.monitor.drifted", "fraudline.monitor.skewed"),
    ),
    Notice(
        "a challenger was judged",
        "A retrain promoted, shadowed or rejected its version, or a person rolled back.",
        tuple(f"fraudline.model.{verb}" for verb in ("promoted", "shadowed", "rejected", "rolled_back")),
    ),
)


def apply(url: str) -> list[str]:
    """Create or bring up to date all automations of the configured server; their names. `url` takes POSTs of JSON."""
    block = UUID(str(Webhook(method="POST", url=SecretStr(url)).save(BLOCK, overwrite=True)))
    wanted = [*(_notification(notice, block) for notice in NOTICES), _dead_runs()]
    with get_client(sync_client=True) as client:
        for automation in wanted:
            there = client.read_automations_by_name(automation.name)
            if there:
                client.update_automation(there[0].id, automation)
            else:
                client.create_automation(automation)
    return [automation.name for automation in wanted]


def told_at() -> str | None:
    """The address that notifications of the configured server go to; None where they were never applied."""
    try:
        block = Webhook.load(BLOCK)
    except ValueError:
        return None
    assert isinstance(block, Webhook)
    return block.url.get_secret_value()


def names() -> Iterator[str]:
    """What `apply` makes."""
    yield from (PREFIX + notice.name for notice in NOTICES)
    yield _dead_runs().name


def _notification(notice: Notice, block: UUID) -> AutomationCore:
    trigger = EventTrigger(
        expect=set(notice.events),
        match_related=ResourceSpecification(_OURS if notice.of_runs else {}),
        posture=Posture.Reactive,
        threshold=1,
    )
    return AutomationCore(
        name=PREFIX + notice.name,
        description=notice.description,
        trigger=trigger,
        actions=[CallWebhook(block_document_id=block, payload=_PAYLOAD)],
    )


def _dead_runs() -> AutomationCore:
    """A run whose heart has stopped: without this it would be shown as running for ever."""
    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{state}" for state in _ENDED)},
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification(_OURS),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=SILENCE,
    )
    crashed = ChangeFlowRunState(
        state=StateType.CRASHED, name="Crashed", message="Its process has died without a word; the next run goes on."
    )
    return AutomationCore(
        name=PREFIX + "call silent runs crashed",
        description="A run that has told for minutes that it lives, and then no more, has lost its process.",
        trigger=trigger,
        actions=[crashed],
    )
