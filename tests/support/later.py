"""An hour that is under way when a test runs, judged as it will be once it is over."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from fraudline.clock import to_micros


@contextmanager
def an_hour_later() -> Iterator[datetime]:
    """Within the block requests may be as of this moment: a window of what came just now has ended by then."""
    later = datetime.now(UTC) + timedelta(hours=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fraudline.adapters.clock.now_micros", lambda: to_micros(later))
        yield later
