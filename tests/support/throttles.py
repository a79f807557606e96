"""What no emulator does: refuse. Botocore's own event hooks keep records from the endpoint and answer as AWS would."""

from collections.abc import Callable
from typing import Any

import msgspec

CODE = "ProvisionedThroughputExceededException"


def refuse_records(client: Any, refuses: Callable[[dict[str, Any]], bool]) -> None:
    """Make a Kinesis client's PutRecords lose the records (wire form) that `refuses` picks, and say so in the answer.

    The others go to the endpoint; the answer is what AWS sends when some shards are throttled.
    """
    refused: list[int] = []

    def before(params: dict[str, Any], **_: Any) -> None:
        body = msgspec.json.decode(params["body"])
        refused[:] = [at for at, record in enumerate(body["Records"]) if refuses(record)]
        body["Records"] = [record for at, record in enumerate(body["Records"]) if at not in refused]
        params["body"] = msgspec.json.encode(body)

    def after(parsed: dict[str, Any], **_: Any) -> None:
        for at in refused:
            parsed["Records"].insert(at, {"ErrorCode": CODE, "ErrorMessage": "Rate exceeded for shard"})
        parsed["FailedRecordCount"] = len(refused)

    client.meta.events.register("before-call.kinesis.PutRecords", before)
    client.meta.events.register("after-call.kinesis.PutRecords", after)


def refuse_calls(client: Any, operation: str, times: int, code: str = CODE) -> list[int]:
    """Make the next `times` calls of an operation ("kinesis.PutRecords") fail with `code`; the calls made are counted.

    Nothing of a refused call reaches the endpoint.
    """
    calls: list[int] = []

    def answer(model: Any, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        calls.append(len(calls))
        if len(calls) > times:
            return None
        http = type("Refusal", (), {"status_code": 400, "headers": {}, "content": b""})()
        error = {"Code": code, "Message": "Rate exceeded"}
        return http, {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}

    client.meta.events.register(f"before-call.{operation}", answer)
    return calls
