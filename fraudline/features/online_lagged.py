"""Lagged entities one transaction at a time: `LaggedReader` reads their tiles, `LaggedCounter` builds them."""

from collections.abc import Sequence
from functools import lru_cache

from fraudline.clock import format_micros
from fraudline.contract import Contract, Entity
from fraudline.durations import DAY, HOUR, floor_day, floor_hour, parse_duration
from fraudline.errors import Unavailable
from fraudline.features.definition import longest_window, windows
from fraudline.features.profile import LabelEvent, LaggedHistory, Tiles, run_of

# How far behind the hour that lagged entities are built through a reader may stand. One is that far behind when it
# scores transactions of the day before yesterday: an outage that is made up for, a terminal that was offline.
REACH = 2 * DAY


class LaggedReader:
    """Primitives of one lagged entity at an hour that its tiles are built through."""

    def __init__(self, entity: Entity, contract: Contract) -> None:
        self._windows = tuple((w.length, w.tile == HOUR) for w in windows(entity))
        self._risk = entity.risk
        self._lag = parse_duration(entity.lag or "1h")
        self._delay = contract.label_delay
        # A batch reads at one hour, or two.
        self._starts = lru_cache(maxsize=8)(self._starts_before)
        self._unknown = self._values(LaggedHistory(), 0, 0)

    def primitives(self, history: LaggedHistory | None, time: int, built_through: int | None) -> list[int]:
        latest = floor_hour(time - self._lag)
        end = latest if built_through is None else min(built_through, latest)
        if history is None or (built_through is not None and not is_within_reach(end, built_through)):
            return self._unknown
        if end < history.complete_from:
            raise Unavailable(
                f"lagged entities were built without the hours before {format_micros(history.complete_from)}, which a"
                " batch still reads: run `fraudline materialize`, which keeps the hours of batches that are under way"
            )
        return self._values(history, end, time)

    def _values(self, history: LaggedHistory, end: int, time: int) -> list[int]:
        values: list[int] = []
        now = history.volume_hours.at(end, history.volume)
        for start, hourly in self._starts(end):
            tiles = history.volume_hours if hourly else history.volume_days
            n0, s0 = tiles.at(start, history.volume)
            values += (now[0] - n0, now[1] - s0)
        if self._risk:
            values += self._labels(history, end + self._lag - self._delay, time)
        return values

    def _labels(self, history: LaggedHistory, end: int, time: int) -> list[int]:
        values: list[int] = []
        known, fraud, plain, run, began, last_fraud, last_cleared = history.label_hours.at(end, history.labels)
        for start, hourly in self._starts(end):
            tiles = history.label_hours if hourly else history.label_days
            before = tiles.at(start, history.labels)
            # Labels that were withdrawn in the window, but began before it, are none of its own.
            values += (max(known - before[0], 0), max(fraud - before[1], 0), max(plain - before[2], 0))
        values.append(run)
        values.append(time - began if run else -1)
        values.append(time - last_fraud if last_fraud >= 0 else -1)
        values.append(time - last_cleared if last_cleared >= 0 else -1)
        return values

    def _starts_before(self, end: int) -> list[tuple[int, bool]]:
        """Where the windows that end there start, and whether in hour tiles."""
        day = floor_day(end)
        return [(end - length if hourly else day - length, hourly) for length, hourly in self._windows]


def is_within_reach(end: int, built_through: int) -> bool:
    """Whether a reader at the hour `end` finds lagged entities built up to another: they are kept for so long.

    Beyond that, and before the first build, nothing is known of them, by rule: offline code follows.
    """
    return built_through > 0 and end >= built_through - REACH


class LaggedCounter:
    """Builds a lagged entity's history from its transactions and labels, each given in time order.

    Tiles are kept for readers at the hour `volumes_from` and later, and for their labels, which end at `labels_from`;
    by default for readers that are `REACH` behind the newest tile.
    """

    def __init__(self, entity: Entity, volumes_from: int | None = None, labels_from: int | None = None) -> None:
        self._days_kept = longest_window(entity)
        self._volumes_from = volumes_from
        self._labels_from = labels_from

    def count_transaction(self, history: LaggedHistory, time: int, amount: int) -> None:
        totals = history.volume
        self._open(history.volume_hours, history.volume_days, time, totals, self._volumes_from)
        history.volume = [totals[0] + 1, totals[1] + amount]

    def count_label(self, history: LaggedHistory, label: LabelEvent) -> None:
        known, fraud, plain, *run = self._labels_at(history, label.time)
        length, began, last_fraud, last_cleared = run
        if label.fraud:
            last_fraud = label.time
            if label.unexplained:
                began = began if length else label.time
                length += 1
        else:
            length, began, last_cleared = 0, -1, label.time
        counts = known + 1, fraud + label.fraud, plain + label.unexplained
        history.labels = [*counts, length, began, last_fraud, last_cleared]

    def withdraw_label(
        self, history: LaggedHistory, label: LabelEvent, time: int, standing: Sequence[LabelEvent]
    ) -> None:
        """Take a label back at `time`: its counts are given back then, the run is that of those still `standing`."""
        known, fraud, plain, *_ = self._labels_at(history, time)
        history.labels = [known - 1, fraud - label.fraud, plain - label.unexplained, *run_of(standing)]

    def _labels_at(self, history: LaggedHistory, time: int) -> list[int]:
        self._open(history.label_hours, history.label_days, time, history.labels, self._labels_from)
        return history.labels

    def _open(self, hours: Tiles, days: Tiles, time: int, totals: list[int], reader: int | None) -> None:
        hour, day = floor_hour(time), floor_day(time)
        oldest = hour - REACH if reader is None else reader
        hours.open(hour, totals, min(oldest, hour) - DAY)
        days.open(day, totals, floor_day(min(oldest, hour)) - self._days_kept)
