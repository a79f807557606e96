"""What the local stack asks of its Prefect server: a pool, a live worker, deployments, a first run, the last runs."""

from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterStartTime
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from fraudline.local.worker import POOL

_RECENT = 50


def ensure_pool() -> None:
    """A process pool; one that exists is left as it is."""
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        except ObjectAlreadyExists:
            return


def worker_is_online() -> bool:
    """Whether a worker of the pool has told lately that it lives."""
    with get_client(sync_client=True) as client:
        try:
            workers = client.read_workers_for_work_pool(POOL)
        except ObjectNotFound:
            return False
    return any(worker.status == "ONLINE" for worker in workers)


def deployments() -> list[str]:
    """All that are registered, as `flow/deployment`."""
    with get_client(sync_client=True) as client:
        flows = {flow.id: flow.name for flow in client.read_flows()}
        return sorted(f"{flows[found.flow_id]}/{found.name}" for found in client.read_deployments())


def start_run(deployment: str) -> None:
    """Have a run of a deployment started now, its parameters untouched."""
    with get_client(sync_client=True) as client:
        client.create_flow_run_from_deployment(client.read_deployment_by_name(deployment).id)


def last_runs() -> list[dict[str, Any]]:
    """The newest run of every flow that has run: what came of it, when it began, how long it took."""
    begun = FlowRunFilter(start_time=FlowRunFilterStartTime(is_null_=False))
    with get_client(sync_client=True) as client:
        flows = {flow.id: flow.name for flow in client.read_flows()}
        runs = client.read_flow_runs(flow_run_filter=begun, sort=FlowRunSort.START_TIME_DESC, limit=_RECENT)
    newest: dict[str, dict[str, Any]] = {}
    for run in runs:
        told = {
            "run": run.name,
            "state": run.state_name or "",
            "started": f"{run.start_time:%Y-%m-%dT%H:%M:%SZ}" if run.start_time else "",
            "seconds": round(run.total_run_time.total_seconds(), 1),
        }
        newest.setdefault(flows[run.flow_id], told)
    return list(newest.values())
