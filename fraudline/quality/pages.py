"""Pages from templates: everything escaped, a name that is not given is an error."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from fraudline.clock import from_micros
from fraudline.quality.words import in_words


def render(template: str, **values: Any) -> bytes:
    """A page of `templates/`, as UTF-8."""
    return _environment().get_template(template).render(values).encode()


def _moment(time: int) -> str:
    return f"{from_micros(time):%Y-%m-%d %H:%M} UTC"


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = in_words
    environment.filters["moment"] = _moment
    return environment
