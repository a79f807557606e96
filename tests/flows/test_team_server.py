"""A server for a team: PostgreSQL instead of SQLite, and nothing for those without the password."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fraudline.local.emulator import environment_of
from fraudline.local.prefect_server import PrefectServer, running_prefect_server
from tests.support.pipeline import POOL, ROOT
from tests.support.postgres import programs, running_postgres

pytestmark = pytest.mark.long

PASSWORD = "team:a long passphrase of a test"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    if programs() is None:
        pytest.skip("NO POSTGRESQL TEST RUNS HERE: there is no initdb; install the package postgresql")
    folder = tmp_path_factory.mktemp("team")
    with running_postgres(folder) as database:
        settings = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database, "PREFECT_SERVER_API_AUTH_STRING": PASSWORD}
        with environment_of(settings), running_prefect_server(folder) as running:
            yield running


def test_a_request_without_the_password_is_refused_and_one_with_it_is_not(server: PrefectServer) -> None:
    url = f"{server.api}/flows/filter"
    assert httpx.post(url, json={}).status_code == 401
    assert httpx.post(url, json={}, auth=("team", "wrong")).status_code == 401
    user, _, password = PASSWORD.partition(":")
    assert httpx.post(url, json={}, auth=(user, password)).status_code == 200


def test_deployments_are_registered_on_postgresql_with_the_password_only(server: PrefectServer) -> None:
    environment = {**os.environ, **server.environment}
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    pool = [*prefect, "work-pool", "create", POOL, "--type", "process"]
    refused = subprocess.run(pool, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "401" in refused.stdout + refused.stderr
    environment["PREFECT_API_AUTH_STRING"] = PASSWORD
    for command in (pool, [*prefect, "deploy", "--all"]):
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    user, _, password = PASSWORD.partition(":")
    found = httpx.post(f"{server.api}/deployments/filter", json={}, auth=(user, password)).json()
    assert {"weekly", "every-5-minutes", "on-demand"} <= {deployment["name"] for deployment in found}


def test_a_run_on_postgresql_is_recorded_with_its_artifacts(server: PrefectServer, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("fraudline")
    environment = {**os.environ, **server.environment, "PREFECT_API_AUTH_STRING": PASSWORD}
    made = tmp_path / "orders.csv"
    for arguments in (
        ["simulate", "--out", str(made), "--users", "100", "--fraud-rate", "0.05"],
        ["retrain", "-t", str(made), "--as-of", "2026-02-19", "--models", str(tmp_path / "models")],
    ):
        done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-1000:]
    user, _, password = PASSWORD.partition(":")
    with httpx.Client(auth=(user, password)) as http:
        begun = {"flow_runs": {"start_time": {"is_null_": False}}}
        (run,) = http.post(f"{server.api}/flow_runs/filter", json=begun).json()
        keys = {artifact["key"] for artifact in http.post(f"{server.api}/artifacts/filter", json={}).json()}
    assert (run["name"], run["state"]["type"]) == ("retrain-ecommerce-2026-02-19", "COMPLETED")
    assert {"gates-ecommerce", "model-card-ecommerce", "evaluation-ecommerce"} <= keys
