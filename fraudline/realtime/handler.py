"""The entry point: `fraudline.realtime.handler.handler`."""

import os
from typing import Any

from fraudline.realtime.start import start

_function = start(os.environ)


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Answer a direct call, an HTTP request or a batch of the stream; see `events.py` and `openapi.json`."""
    return _function.answer(event, context)
