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
_CALL = ("Latency", "Transactions", "Refused", "ProfileMisses", "RecordsFailed", "RecordsLate", "ColdStarts")
_UNITS = {"Latency": "Milliseconds", "Score": "None"}
_encoder = msgspec.json.Encoder()


class CallFacts(msgspec.Struct, frozen=True):
    """What is told of one call: `latency` in milliseconds, counts of records, and the scores as a histogram."""

    request_id: str
    kind: str
    model_version: str | None
    # How many records had which profile state, and which code of refusal.
    profiles: dict[str, int]
    refused: dict[str, int]
    latency: float = msgspec.field(name="Latency")
    transactions: int = msgspec.field(name="Transactions")
    refusals: int = msgspec.field(name="Refused")
    profile_misses: int = msgspec.field(name="ProfileMisses")
    records_failed: int = msgspec.field(name="RecordsFailed")
    records_late: int = msgspec.field(name="RecordsLate")
    cold_starts: int = msgspec.field(name="ColdStarts")
    scores: Sequence[float] = msgspec.field(name="Score")


class Telemetry:
    """Writes lines to standard output, or to `stream`; metrics carry the contract's name as their dimension."""

    def __init__(self, contract: str, stream: TextIO | None = None) -> None:
        self._contract = _encoder.encode(contract).decode()
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
            f'{{"level":"{level}","message":"{message}","Contract":{self._contract},'
            f'"_aws":{{"Timestamp":{timestamp},"CloudWatchMetrics":{_directives(metrics)}}},{fields.decode()[1:]}\n'
        )
        # Looked up at each line: Lambda and tests replace it.
        stream = self._stream or sys.stdout
        stream.write(line)
        stream.flush()


@lru_cache(maxsize=64)
def _directives(names: tuple[str, ...]) -> str:
    """What CloudWatch is told about the metrics of a line: the same for every line with these."""
    metrics = [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in names]
    return _encoder.encode([{"Namespace": NAMESPACE, "Dimensions": [["Contract"]], "Metrics": metrics}]).decode()
