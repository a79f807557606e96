"""Lagged entities built from a history larger than memory: what `materializing.build_lagged` makes of one table."""

from pathlib import Path

import numpy as np

from fraudline.adapters.large.days import LargeLanding, Rename
from fraudline.adapters.large.shuffle import Shuffle, Shuffling
from fraudline.adapters.large.stream_runs import Progress
from fraudline.adapters.large.workers import Workers
from fraudline.contract import Contract
from fraudline.features.profile import LaggedHistory
from fraudline.materializing import build_entity, by_key


class LargeBuild:
    """A landing, dealt out to be built from."""

    def __init__(
        self,
        contract: Contract,
        landing: LargeLanding,
        rename: Rename,
        folder: Path,
        workers: Workers,
        progress: Progress,
    ) -> None:
        self._contract = contract
        self._shuffling = Shuffling(contract, landing, rename, folder)
        self._workers = workers
        self._progress = progress
        self.rows = sum(len(day.table) for day in self._shuffling.days(None, progress))
        self._shuffling.shuffle.find_explained(workers)

    def __call__(self, through: int, read_at: int) -> dict[str, LaggedHistory]:
        """As `build_lagged`: one task for each partition, and only the histories come together."""
        shuffle, histories = self._shuffling.shuffle, dict[str, LaggedHistory]()
        tasks = [
            (shuffle, index, part, through, read_at)
            for index in shuffle.lagged_indexes
            for part in shuffle.parts_of(index)
        ]
        for done, (index, part, built) in enumerate(self._workers.results(_built, tasks), start=1):
            names = self._shuffling.names(index, part, np.array(list(built), np.int64))
            histories |= by_key(self._contract, index, names, built.values())
            self._progress("Built", done, len(tasks))
        return histories


def _built(
    shuffle: Shuffle, index: int, part: int, through: int, read_at: int
) -> tuple[int, int, dict[int, LaggedHistory]]:
    past = shuffle.lagged(index, part).as_builds_saw_it()
    explained = np.isin(past.source_row, shuffle.explained().seen_by_builds)
    return index, part, build_entity(past, index, explained, through, read_at)
