"""What time it is: whoever decides is given it, whoever reads and writes looks here."""

import time
from datetime import date, datetime

from fraudline.clock import day_start, format_day, format_micros, to_micros
from fraudline.errors import BadInput


def now_micros() -> int:
    """Microseconds since the epoch, by this machine's clock."""
    return time.time_ns() // 1000


def require_begun(as_of: date) -> None:
    """`BadInput` for a moment or day (UTC) that is still to come: what may yet change would count as known by then."""
    now = now_micros()
    if isinstance(as_of, datetime):
        begin, told, present = to_micros(as_of), format_micros(to_micros(as_of)), format_micros(now)
    else:
        begin, told, present = day_start(as_of), str(as_of), f"{format_day(now)} (UTC)"
    if begin > now:
        raise BadInput(f"nobody knows yet what is known as of {told}, it is {present}: name that or before")
