"""What time it is: whoever decides is given it, whoever reads and writes looks here."""

import time
from datetime import date

from fraudline.clock import day_start, format_day
from fraudline.errors import BadInput


def now_micros() -> int:
    """Microseconds since the epoch, by this machine's clock."""
    return time.time_ns() // 1000


def require_begun(day: date) -> None:
    """`BadInput` for a day (UTC) that is still to come: labels that may yet change would count as known by then."""
    if day_start(day) > (now := now_micros()):
        raise BadInput(
            f"nobody knows yet what is known as of {day}, it is {format_day(now)} (UTC): name today or before"
        )
