"""The largest amount in a window, over whole columns: range maxima by a sparse table."""

import numpy as np

from fraudline.transactions.table import Integers


class Maxima:
    """Largest amount between two rows, the first of which opens a tile: whole tiles by doubling, the last by prefix."""

    def __init__(self, tile_keys: Integers, amount: Integers) -> None:
        self._tile = np.cumsum(np.r_[0, tile_keys[1:] != tile_keys[:-1]]) if len(amount) else tile_keys
        starts = np.flatnonzero(np.r_[True, self._tile[1:] != self._tile[:-1]]) if len(amount) else tile_keys
        distinct, ranks = np.unique(amount, return_inverse=True)
        # Prefix maxima within each tile: ranks offset by the tile's number ascend from tile to tile.
        offset = self._tile * (len(distinct) + 1)
        running = np.maximum.accumulate(ranks + 1 + offset) - offset if len(amount) else ranks
        values = np.r_[0, distinct]
        inside = values[running]
        self._prefix = np.where(np.r_[True, self._tile[1:] != self._tile[:-1]], 0, np.r_[0, inside[:-1]])
        whole = np.maximum.reduceat(amount, starts) if len(amount) else amount
        self._levels = [whole]
        self._starts = starts

    def between(self, low: Integers, here: Integers) -> Integers:
        """Largest amount of the rows from `low` up to, not including, `here`; 0 where there are none."""
        tile = self._tile[here]
        # Where the window is empty `low` is `here`, which need not open a tile.
        first = np.where(low < here, self._tile[low], tile)
        count = tile - first
        level = np.where(count > 0, np.frexp(np.maximum(count, 1).astype(np.float64))[1] - 1, 0)
        self._deepen(int(level.max()) if len(level) else 0)
        best = np.where(low < here, self._prefix[here], 0)
        for depth in np.unique(level):
            at = (level == depth) & (count > 0)
            table = self._levels[depth]
            pair = np.maximum(table[first[at]], table[tile[at] - (1 << int(depth))])
            best[at] = np.maximum(best[at], pair)
        return best

    def _deepen(self, depth: int) -> None:
        while len(self._levels) <= depth:
            last, step = self._levels[-1], 1 << (len(self._levels) - 1)
            shifted = np.r_[last[step:], np.zeros(min(step, len(last)), dtype=last.dtype)]
            self._levels.append(np.maximum(last, shifted))
