"""Writes that carry conditions, many a call: each has an answer of its own, and some are to be asked for again."""

import pytest

from fraudline.adapters.aws.backoff import within
from fraudline.adapters.aws.dynamodb import DynamoDB
from fraudline.adapters.aws.json_calls import AwsJson
from fraudline.adapters.tables.profiles import Profiles
from fraudline.errors import LostRace
from fraudline.local.emulator import Emulator
from fraudline.profiles import ProfileChange
from fraudline.settings import Settings
from tests.stream.proxy import Body, Rewritten, proxy

KEYS = [f"user#U{number}#g" for number in range(4)]


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "InternalServerError"])
def test_what_a_statement_is_refused_for_the_moment_is_done_the_next_time(
    resources: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """An erasure's transaction, for one, may be at work on a row that a batch writes."""
    calls: list[int] = []

    def rule(operation: str, body: Body) -> Rewritten | None:
        if operation != "BatchExecuteStatement":
            return None
        calls.append(len(body["Statements"]))
        if len(calls) > 1:
            return None
        others = body["Statements"][1:]
        refused = {"Error": {"Code": code, "Message": "another one is under way"}}
        return Rewritten({"Statements": others}, lambda answer: {"Responses": [refused, *answer["Responses"]]})

    with proxy(emulator.endpoint, rule) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        profiles = Profiles(DynamoDB(AwsJson("dynamodb")), resources.profiles_table, resources.decisions_table)
        changes = [ProfileChange(key, "", "1#s", b"history") for key in KEYS]
        profiles.commit(changes, within(30))
        assert calls == [4, 1]
        assert profiles.stored(KEYS, within(30)).keys() == set(KEYS)
        with pytest.raises(LostRace):
            profiles.commit(changes, within(30))
