"""Whatever a call holds: an answer that is no server error, in time, and no line that tells whose it was."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.realtime.conftest import Running, make_running
from tests.realtime.events import a_transaction, http, kinesis

# Long enough to be told apart from anything a line says by itself.
SECRET = "Xq7-secret-user"
SECONDS = 5.0

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(SECRET)
anything = st.recursive(scalars, lambda deeper: st.lists(deeper, max_size=4) | st.dictionaries(st.text(), deeper))
columns = st.sampled_from([*a_transaction(), "is_fraud", "unknown"])
odd_texts = st.sampled_from(
    [
        *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999+23:59", "2026-02-30T00:00:00Z", "\ud800", "\x00"),
        *("1e400", "NaN", "٢٠٢٦-٠١-٠١T٠٠:٠٠:٠٠Z", "2026-01-05T11:27:60Z", "a" * 100_000),
    ]
)
changes = st.dictionaries(columns, anything | odd_texts, max_size=4)
dropped = st.sets(columns, max_size=2)


@st.composite
def transactions(draw: st.DrawFn) -> dict[str, Any]:
    """A good record with some columns changed to anything and some left out."""
    without = draw(dropped)
    record = {**a_transaction(user_id=SECRET, transaction_id=f"T-{SECRET}"), **draw(changes)}
    return {name: value for name, value in record.items() if name not in without}


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """JSON that may have been cut, repeated or overwritten somewhere."""
    record = draw(transactions())
    body = draw(st.sampled_from([{"transaction_data": record}, {"transactions": [record, a_transaction()]}, record]))
    data = json.dumps(body).encode(errors="surrogatepass")
    start, end = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
    damage = draw(st.sampled_from([b"", b"\xff", b"[" * 2_000, b"1e400", b"{", b"\x00", data]))
    return draw(st.sampled_from([data, data[:start] + damage + data[end:]]))


events = st.one_of(
    anything,
    st.dictionaries(st.sampled_from(["transaction_data", "Records", "requestContext", "body"]), anything),
    st.builds(lambda record: {"transaction_data": record}, transactions()),
    st.builds(lambda body: {"transaction_data": body.decode(errors="replace")}, bodies()),
    st.builds(http, bodies()),
    st.builds(lambda body: http(body.decode(errors="replace")), bodies()),
    st.builds(lambda text: http(text, base64_encoded=True), st.text(max_size=40)),
    st.builds(lambda body: {**http(body), "headers": None, "rawPath": None}, bodies()),
)


@pytest.fixture(scope="module")
def running(packaged: Path) -> Running:
    return make_running(packaged)


def lines_since(running: Running, position: int) -> str:
    running.stream.seek(position)
    return running.stream.read()


@given(events)
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_call_is_a_server_error_a_hang_or_a_leak(running: Running, event: object) -> None:
    written, started = running.stream.tell(), time.monotonic()
    response = running.ask(event)
    assert time.monotonic() - started < SECONDS
    assert SECRET not in lines_since(running, written)
    if "batchItemFailures" in response:
        assert response["batchItemFailures"] == []
    else:
        assert response["statusCode"] in (200, 400, 405, 413)
        body = json.loads(response["body"])
        assert ("errors" in body) == (response["statusCode"] != 200)
        assert "Traceback" not in response["body"]


@given(st.lists(bodies() | st.binary(max_size=50), max_size=5))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_record_of_the_stream_blocks_its_shard(running: Running, datas: list[bytes]) -> None:
    written = running.stream.tell()
    assert running.ask(kinesis(datas)) == {"batchItemFailures": []}
    assert SECRET not in lines_since(running, written)
