"""A step of a flow: a Prefect task inside a flow run, the plain function anywhere else.

The command line runs the same flows on files with no Prefect server at all: then there is nobody to record a task for.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext

from fraudline.errors import BadInput, NotReady, Tampered

P = ParamSpec("P")
R = TypeVar("R")


def in_flow_run() -> bool:
    """True where Prefect records what happens."""
    return FlowRunContext.get() is not None


def _may_pass_by_itself(task: object, run: object, state: State[Any]) -> bool:
    return not isinstance(state.data, BadInput | NotReady | Tampered)


def step(**options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function as a step; `options` are those of `prefect.task`.

    Results stay in memory: they are tables and models, too large to hash for a cache key. What retries are for is a
    service that may answer the next time; an input is not better then.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        recorded = task(cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=_may_pass_by_itself, **options)(
            function
        )

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            return recorded(*args, **kwargs) if in_flow_run() else function(*args, **kwargs)

        return run

    return decorate
