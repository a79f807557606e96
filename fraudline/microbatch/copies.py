"""Which records of a batch count: the first of each transaction id, whatever is delivered or tried again."""

from fraudline.archive import Refusal
from fraudline.microbatch.values import Event, View
from fraudline.transactions.transaction import CONFLICT, Problem


class Copies:
    """Which events count now, asked in their order, by what is recorded of their ids and what profiles have counted."""

    def __init__(self, view: View) -> None:
        self.duplicates: list[str] = []
        self.conflicts: list[Refusal] = []
        self._view = view
        self._first = dict(view.recorded)

    def is_fresh(self, event: Event) -> bool:
        """Whether the event is the first of its id; if not, it is a duplicate, a conflict or an earlier attempt's."""
        position, id_ = event.record.position, event.transaction.id
        if self._view.counted is not None and position not in self._view.counted:
            return False
        profile = self._view.profiles.get(event.transaction.entities[0])
        if profile is not None and position <= profile.position:
            # Counted by an earlier attempt; or delivered again, if somebody moved the checkpoint back.
            self.duplicates.append(position)
        elif id_ not in self._first:
            self._first[id_] = event.digest
            return True
        elif self._first[id_] == event.digest:
            self.duplicates.append(position)
        else:
            self.conflicts.append(Refusal(position, (CONFLICT,)))
        return False

    def refused(self, event: Event, problem: Problem) -> Refusal:
        """The refusal of a fresh event, which leaves its id to the next that comes under it."""
        del self._first[event.transaction.id]
        return Refusal(event.record.position, (problem,))
