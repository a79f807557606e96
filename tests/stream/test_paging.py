"""Tables and queries that DynamoDB answers page by page are read to their end."""

from collections.abc import Callable, Iterator

import pytest

from fraudline.adapters.aws.backoff import Deadline, within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.tables.labels import Labels
from fraudline.adapters.tables.leases import Leases
from fraudline.labels import Verdict
from fraudline.local.emulator import Emulator
from fraudline.settings import Settings
from fraudline.stream import TRIM_HORIZON, Shard
from tests.stream.proxy import Body, Rewritten, proxy

Pages = Callable[[], int]


@pytest.fixture
def pages(resources: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pages]:
    """How many pages were asked for; no page has more than three items."""
    asked: list[str] = []

    def rule(operation: str, body: Body) -> Rewritten | None:
        if operation not in ("Scan", "Query"):
            return None
        asked.append(operation)
        return Rewritten({**body, "Limit": 3}, lambda answer: answer)

    with proxy(emulator.endpoint, rule) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield lambda: len(asked)


def test_a_table_is_scanned_to_its_end(resources: Settings, pages: Pages) -> None:
    labels = Labels(DynamoDB(AwsJson("dynamodb")), resources.labels_table)
    verdicts = {f"t{number}": (Verdict(1, number, "ann"),) for number in range(10)}
    labels.add_all(verdicts, within(30))
    assert labels.all(within(30)) == verdicts
    assert pages() >= 4


def test_a_query_is_read_to_its_end_each_page_with_a_deadline_of_its_own(resources: Settings, pages: Pages) -> None:
    dynamodb = DynamoDB(AwsJson("dynamodb"))
    leases = Leases(dynamodb, resources.leases_table, "group", "w")
    others = Leases(dynamodb, resources.leases_table, "other group", "w")
    for number in range(8):
        leases.create(Shard(f"shard-{number}", 0, 1), TRIM_HORIZON)
    others.create(Shard("shard-9", 0, 1), TRIM_HORIZON)
    assert leases.rows().keys() == {f"shard-{number}" for number in range(8)}
    assert pages() >= 3
    deadlines: list[Deadline] = []
    body = {"KeyConditionExpression": "consumer = :c", "ExpressionAttributeValues": {":c": {"S": "group"}}}

    def deadline() -> Deadline:
        deadlines.append(within(30))
        return deadlines[-1]

    assert len(list(dynamodb.query(resources.leases_table, body, deadline))) == 8
    assert len(set(deadlines)) >= 3
