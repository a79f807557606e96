"""One line of JSON for each call, which is log line and metrics (CloudWatch's embedded metric format) in one.

Lines tell codes, counts and versions. No value of a transaction is ever in them.
"""

import sys
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, TextIO

import msgspec

Level = Literal["INFO", "WARNING", "ERROR"]

NAMESPACE = "Fraudline"
# CloudWatch takes so many values of a metric in one line.
VALUES = 100
# Every metric is told apart by these: both environments may live in one account, and an alarm must hear its own.
_DIMENSIONS = ("Environment", "Contract")
# Time is also told apart by what was asked: a batch of the stream may take what no shop would wait for.
_BY_KIND = ("Latency",)
_CALL = ("Latency", "Transactions", "Refused", "ProfileMisses", "RecordsFailed", "RecordsLate", "ColdStarts")
_UNITS = {"Latency": "Milliseconds", "Score": "None"}
_encoder = msgspec.json.Encoder()


class CallFacts(msgspec.Struct, frozen=True):
    """What is told of one call: `latency` in milliseconds, counts of records, and the scores as a histogram."""

    request_id: str
    model_version: str | None
    # How many records had which profile state, and which code of refusal.
    profiles: dict[str, int]
    refused: dict[str, int]
    # Why decisions were not kept.
    record_errors: Sequence[str]
    kind: str = msgspec.field(name="Kind")
    latency: float = msgspec.field(name="Latency")
    transactions: int = msgspec.field(name="Transactions")
    refusals: int = msgspec.field(name="Refused")
    profile_misses: int = msgspec.field(name="ProfileMisses")
    records_failed: int = msgspec.field(name="RecordsFailed")
    records_late: int = msgspec.field(name="RecordsLate")
    cold_starts: int = msgspec.field(name="ColdStarts")
    scores: Sequence[float] = msgspec.field(name="Score")


class Telemetry:
    """Writes lines to standard output, or to `stream`; metrics carry environment and contract as their dimensions."""

    def __init__(self, environment: str, contract: str, stream: TextIO | None = None) -> None:
        self._dimensions = _encoder.encode(dict(zip(_DIMENSIONS, (environment, contract), strict=True))).decode()[1:-1]
        self._stream = stream

    def call(self, facts: CallFacts) -> None:
        """A call was answered. It is told in a line, and scores that do not fit into it in more."""
        for start in range(VALUES, len(facts.scores), VALUES):
            values = {"Score": facts.scores[start : start + VALUES]}
            self._write("INFO", "more scores", ("Score",), _encoder.encode(values))
        first = msgspec.structs.replace(facts, scores=facts.scores[:VALUES]) if len(facts.scores) > VALUES else facts
        self._write("INFO", "answered", (*_CALL, "Score") if facts.scores else _CALL, _encoder.encode(first))

    def event(self, level: Level, message: str, metric: str, **fields: Any) -> None:
        """Something happened that is worth a line, and is counted in a metric of its own."""
        self._write(level, message, (metric,), _encoder.encode({**fields, metric: 1}))

    def _write(self, level: Level, message: str, metrics: tuple[str, ...], fields: bytes) -> None:
        """`fields` is a JSON object, which goes on behind what every line has."""
        timestamp = time.time_ns() // 1_000_000
        line = (
            f'{{"level":"{level}","message":"{message}",{self._dimensions},'
            f'"_aws":{{"Timestamp":{timestamp},"CloudWatchMetrics":{_directives(metrics)}}},{fields.decode()[1:]}\n'
        )
        # Looked up at each line: Lambda and tests replace it.
        stream = self._stream or sys.stdout
        stream.write(line)
        stream.flush()


@lru_cache(maxsize=64)
def _directives(names: tuple[str, ...]) -> str:
    """What CloudWatch is told about the metrics of a line: the same for every line with these."""
    by_kind = [name for name in names if name in _BY_KIND]
    others = [name for name in names if name not in _BY_KIND]
    directives = [_directive(_DIMENSIONS, others), _directive((*_DIMENSIONS, "Kind"), by_kind)]
    return _encoder.encode([directive for directive in directives if directive["Metrics"]]).decode()


def _directive(dimensions: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    metrics = [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in names]
    return {"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics}
