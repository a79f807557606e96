"""How a deployment is doing: its parts, how far the stream is behind, the champion, the last runs, what waits."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.clients import client, require_credentials
from fraudline.adapters.registry import Registry, open_registry
from fraudline.adapters.review_queue import review_queue
from fraudline.adapters.storage.s3 import S3Objects
from fraudline.adapters.stream.lag import shard_lags
from fraudline.adapters.stream.quarantine import Quarantine
from fraudline.contract import load_contract
from fraudline.errors import FraudlineError, Unavailable
from fraudline.local import orchestration
from fraudline.local.processes import answers
from fraudline.local.registering import declared
from fraudline.review import waiting
from fraudline.settings import Settings

ASK_SECONDS = 15.0


def status(settings: Settings) -> dict[str, Any]:
    """What `fraudline status` shows. `healthy` is about the parts being there, not about what they have to do."""
    parts, runs = _prefect(os.environ.get("PREFECT_API_URL", ""))
    questions: dict[str, Callable[[], Any]] = {
        "champion": lambda: _registry(settings).champion(),
        "shards": lambda: [vars(lag) for lag in shard_lags(settings)],
        "waiting": lambda: _waiting(settings),
    }
    missing = [f"the {name} {_ARE.get(name, 'is')} not there" for name, there in parts.items() if not there]
    answered, failures = _answers(questions)
    problems = missing + failures
    parts["AWS"] = all(answered[name] is not None for name in ("shards", "waiting"))
    return {"healthy": not problems, "problems": problems, "parts": parts, **answered, "runs": runs}


_ARE = {"deployments": "are"}


def _answers(questions: Mapping[str, Callable[[], Any]]) -> tuple[dict[str, Any], list[str]]:
    """What AWS says to each, None where it cannot; and why it could not."""
    answered: dict[str, Any] = dict.fromkeys(questions)
    try:
        require_credentials()
    except Unavailable as nobody:
        return answered, [str(nobody)]
    failures = []
    for name, ask in questions.items():
        try:
            answered[name] = ask()
        except FraudlineError as error:
            failures.append(str(error))
    return answered, failures


def _prefect(api: str) -> tuple[dict[str, bool], list[dict[str, Any]]]:
    if not api or not answers(f"{api}/health"):
        return {"Prefect server": False, "worker": False, "deployments": False}, []
    there = {
        "Prefect server": True,
        "worker": orchestration.worker_is_online(),
        "deployments": {name for _, name in declared()} <= set(orchestration.deployments()),
    }
    return there, orchestration.last_runs()


def _registry(settings: Settings) -> Registry:
    return open_registry(f"s3://{settings.models_bucket}", load_contract(settings.contract).name)


def _waiting(settings: Settings) -> dict[str, int]:
    """What people have to look at: of today (UTC), batches with refused records and alerts without a verdict."""
    day = datetime.now(UTC).date().isoformat()
    quarantine = Quarantine(S3Objects(client("s3"), settings.quarantine_bucket))
    review = review_queue(settings, load_contract(settings.contract))
    alerts = review.alerts(day, within(ASK_SECONDS))
    reviewed = review.verdicts(alerts, within(ASK_SECONDS))
    return {
        "batches with quarantined records": sum(1 for _ in quarantine.list(day)),
        "alerts": len(alerts),
        "alerts to review": len(waiting(alerts, reviewed)),
    }
