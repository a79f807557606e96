"""A lagged entity's labels over whole columns: sums and runs of frauds, up to an hour behind each row."""

import numpy as np
import numpy.typing as npt

from fraudline.contract import Entity
from fraudline.durations import HOUR
from fraudline.features.label_events import LabelEvents
from fraudline.features.offline_windows import Keys, Mask, Primitives, stable_order, sums_before, window_starts
from fraudline.features.profile import LabelEvent, Run, run_of
from fraudline.transactions.table import Integers


class EntityLabels:
    """Labels of one entity in the order they count: sums, and runs of frauds since the last cleared one."""

    def __init__(self, events: LabelEvents, codes: npt.NDArray[np.int32], explained: Mask) -> None:
        events = events.take(stable_order(codes[events.row]))
        self._codes, self._time = codes[events.row], events.time
        fraud = events.fraud == 1
        plain = fraud & ~explained[events.row]
        self._keys = Keys.of(self._codes, self._time // HOUR)
        self._known = sums_before(events.sign)
        self._frauds, self._plain = sums_before(events.sign * fraud), sums_before(events.sign * plain)
        # Positions of the last cleared and last fraudulent label before each position, -1 for none.
        self._cleared_at, self._fraud_at = _last_before(~fraud), _last_before(fraud)
        # What is withdrawn counts in sums with its sign, here as an event like others: entities before must not matter.
        self._plain_at, self._plain_before = np.flatnonzero(plain), sums_before(plain)
        self._withdrawn = _runs_with_withdrawals(events, self._codes, plain)

    def primitives(self, entity: Entity, codes: npt.NDArray[np.int32], end: Integers, now: Integers) -> Primitives:
        e = entity.name
        high = self._keys.first_at_or_after(codes, end)
        first = self._keys.first_of(codes)
        values: Primitives = {}
        for w, starts in window_starts(end, entity):
            low = self._keys.first_at_or_after(codes, starts)
            for part, sums in (("known", self._known), ("fraud", self._frauds), ("plain", self._plain)):
                # Labels that were withdrawn in the window, but began before it, are none of its own.
                values[f"{e}_{part}_{w}"] = np.maximum(sums[high] - sums[low], 0)
        run, *ages = self._run(first, high, now)
        values[f"{e}_run"] = run
        values |= {f"{e}_{part}_age": age for part, age in zip(("run", "fraud", "cleared"), ages, strict=True)}
        return values

    def _run(self, first: Integers, high: Integers, now: Integers) -> tuple[Integers, Integers, Integers, Integers]:
        """The run before `high`, and how long ago it, the last fraud and the last cleared transaction counted."""
        # What came before the entity's first label belongs to another entity.
        cleared = np.where(self._cleared_at[high] >= first, self._cleared_at[high], -1)
        fraud = np.where(self._fraud_at[high] >= first, self._fraud_at[high], -1)
        since = np.maximum(cleared + 1, first)
        run = self._plain[high] - self._plain[since]
        ages = [self._elapsed(now, at) for at in (self._run_start(since, run), fraud, cleared)]
        for row in np.flatnonzero((high > first) & np.isin(high - 1, list(self._withdrawn))).tolist():
            run[row], *moments = self._withdrawn[int(high[row]) - 1]
            for age, moment in zip(ages, moments, strict=True):
                age[row] = now[row] - moment if moment >= 0 else -1
        return run, ages[0], ages[1], ages[2]

    def _run_start(self, since: Integers, run: Integers) -> Integers:
        """Position of the first unexplained fraud at or after `since`, -1 where there is no run."""
        if not len(self._plain_at):
            return np.full(len(since), -1)
        begin = self._plain_at[np.minimum(self._plain_before[since], len(self._plain_at) - 1)]
        return np.where(run > 0, begin, -1)

    def _elapsed(self, now: Integers, position: Integers) -> Integers:
        if not len(self._time):
            return np.full(len(now), -1)
        return np.where(position >= 0, now - self._time[np.maximum(position, 0)], -1)


def _runs_with_withdrawals(events: LabelEvents, codes: npt.NDArray[np.int32], plain: Mask) -> dict[int, Run]:
    """The run after each label of the few entities that had one withdrawn, by the label's position."""
    runs: dict[int, Run] = {}
    for code in np.unique(codes[events.sign < 0]):
        standing: dict[int, LabelEvent] = {}
        for at in range(*np.searchsorted(codes, [code, code + 1])):
            row = int(events.row[at])
            if events.sign[at] < 0:
                del standing[row]
            else:
                standing[row] = LabelEvent(int(events.time[at]), int(events.fraud[at]), int(plain[at]))
            runs[at] = run_of(list(standing.values()))
    return runs


def _last_before(condition: Mask) -> Integers:
    """For each position 0..n the last earlier position where the condition holds, or -1."""
    where = np.where(condition, np.arange(len(condition)), -1)
    return np.r_[-1, np.maximum.accumulate(where)] if len(where) else np.array([-1])
