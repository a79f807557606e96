"""One item is made while another is used, and nothing else about them changes."""

import threading
from collections.abc import Generator

import pytest

from fraudline.adapters.large.ahead import ahead


def test_the_next_item_is_made_while_one_is_used() -> None:
    made = threading.Event()

    def items() -> Generator[int]:
        yield 1
        made.set()
        yield 2

    following = ahead(items())
    assert next(following) == 1
    assert made.wait(10)
    assert list(following) == [2]


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Generator[int]:
        yield 1
        raise ValueError("no more")

    following = ahead(items())
    assert next(following) == 1
    with pytest.raises(ValueError, match="no more"):
        next(following)


def test_who_stops_early_ends_the_making() -> None:
    ended = []

    def items() -> Generator[int]:
        try:
            yield from range(100)
        finally:
            ended.append(True)

    following = ahead(items())
    next(following)
    following.close()  # type: ignore[attr-defined]
    assert ended
