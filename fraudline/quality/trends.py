"""The same measure over the last windows: where it was, where it is, and how far that is from usual."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fraudline.quality.measures import MEASURES
from fraudline.quality.summary import Summary
from fraudline.quality.words import in_words

RUNS = 30
SHOWN = (
    *("rows", "quarantined_share", "duplicate_share", "excluded_share", "volume_ratio", "median_amount"),
    *("night_share", "new_entity_share", "label_rate", "labelled_share"),
)


@dataclass(frozen=True)
class Trend:
    """Values of one measure, oldest run first, the judged window last; at least two."""

    sentence: str
    values: tuple[float, ...]
    newest: str
    usual: str


def trends(runs: Sequence[Summary]) -> tuple[Trend, ...]:
    """Trends over `runs`, oldest first, of the measures that the newest run and one before it have."""
    return tuple(trend for name in SHOWN if (trend := _trend(name, runs)) is not None)


def _trend(name: str, runs: Sequence[Summary]) -> Trend | None:
    values = [value for run in runs if (value := run.measures.get(name)) is not None]
    if len(values) < 2 or runs[-1].measures.get(name) is None:
        return None
    measure = MEASURES[name]
    usual = in_words(float(np.median(values[:-1])), measure.unit)
    return Trend(measure.sentence, tuple(values), in_words(values[-1], measure.unit), usual)
