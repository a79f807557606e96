"""One line of JSON for each call, which is log line and metrics (CloudWatch's embedded metric format) in one.

Lines tell codes, counts and versions. No value of a transaction is ever in them.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TextIO

import msgspec

Level = Literal["INFO", "WARNING", "ERROR"]

NAMESPACE = "Fraudline"
# CloudWatch takes so many values of a metric in one line.
_VALUES = 100
_UNITS = {"Latency": "Milliseconds", "Score": "None"}
_encoder = msgspec.json.Encoder()


class Telemetry:
    """Writes lines; metrics carry the contract's name as their dimension."""

    def __init__(self, contract: str, stream: TextIO | None = None) -> None:
        self._contract = contract
        self._stream = stream

    def tell(
        self,
        level: Level,
        message: str,
        metrics: Mapping[str, float] | None = None,
        scores: Sequence[float] = (),
        **fields: Any,
    ) -> None:
        """A line with `fields`, and with `metrics` and the score histogram where there are any."""
        line = {"level": level, "message": message, **fields}
        chunks = [scores[start : start + _VALUES] for start in range(0, len(scores), _VALUES)]
        values = {**(metrics or {}), **({"Score": chunks[0]} if chunks else {})}
        self._write({**line, **self._embedded(values)} if values else line)
        for more in chunks[1:]:
            self._write(self._embedded({"Score": more}))

    def _embedded(self, values: Mapping[str, Any]) -> dict[str, Any]:
        definitions = [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in values]
        directive = {"Namespace": NAMESPACE, "Dimensions": [["Contract"]], "Metrics": definitions}
        header = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}
        return {"_aws": header, "Contract": self._contract, **values}

    def _write(self, line: Mapping[str, Any]) -> None:
        # Looked up at each line: Lambda and tests replace it.
        stream = self._stream or sys.stdout
        stream.write(_encoder.encode(line).decode() + "\n")
        stream.flush()
