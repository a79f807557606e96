"""Who works a large backfill's partitions: processes of this machine, or those of a Dask cluster."""

import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

import pyarrow as pa

from fraudline.errors import BadInput, Unavailable

R = TypeVar("R")
DASK_SECONDS = 15


@dataclass
class Workers:
    """`count` tasks run at a time."""

    executor: Executor
    count: int
    tell: Callable[[str], None] = lambda sentence: None

    def results(self, function: Callable[..., R], tasks: Iterable[tuple[Any, ...]]) -> Generator[R]:
        """What the function gives for each task's arguments, as they are done: few wait to be taken at a time.

        A task's arguments are asked for when it can be started soon. None runs any more when this has ended or was
        closed: who may be done again before it has ended closes it. Where a process was killed, its tasks are done
        again by fewer: what a task has written by then it writes over.
        """
        waiting, running = iter(tasks), dict[Future[R], tuple[Any, ...]]()
        fewer = _halves(self.count)
        try:
            while True:
                for task in islice(waiting, max(0, 2 * self.count - len(running))):
                    running[self._started(function, task)] = task
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                if any(map(_was_killed, done)):
                    self._start_anew(next(fewer, None))
                    waiting = chain([running.pop(future) for future in list(running) if _was_killed(future)], waiting)
                    continue
                for future in done:
                    del running[future]
                    yield future.result()
        finally:
            for future in running:
                future.cancel()
            # None writes any more when an attempt after this one begins.
            wait(running)

    def _started(self, function: Callable[..., R], task: tuple[Any, ...]) -> Future[R]:
        try:
            return self.executor.submit(function, *task)
        except BrokenProcessPool as error:
            # A process that had nothing to do was killed.
            failed = Future[R]()
            failed.set_exception(error)
            return failed

    def _start_anew(self, count: int | None) -> None:
        # When this has ended, none of its processes is there any more.
        self.executor.shutdown()
        if count is None:
            raise Unavailable(
                "a worker process was killed, and then another one that worked alone, most often for want of memory:"
                " what was finished is kept, run it again where there is more"
            )
        self.executor, self.count = _pool(count), count
        self.tell(f"A worker process was killed, most often for want of memory: going on with {count} at a time")


def _was_killed(future: Future[Any]) -> bool:
    return future.done() and isinstance(future.exception(), BrokenProcessPool)


@contextmanager
def processes(tell: Callable[[str], None]) -> Iterator[Workers]:
    """One process for each core. They start anew: a fork of a process with threads may never wake up."""
    count = os.cpu_count() or 1
    workers = Workers(_pool(count), count, tell)
    try:
        yield workers
    finally:
        workers.executor.shutdown(cancel_futures=True)


def _halves(count: int) -> Iterator[int]:
    """Half as many, and half of those, down to a single one.

    >>> list(_halves(6)), list(_halves(1))
    ([3, 1], [1])
    """
    while True:
        count = max(1, count // 2)
        yield count
        if count == 1:
            return


def _pool(count: int) -> Executor:
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_start)


def _start() -> None:
    """The cores are shared out between processes already, and Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without this a worker would wait for work for ever, once its parent was killed."""
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)


@contextmanager
def dask_cluster(address: str) -> Iterator[Workers]:
    """The workers of the Dask scheduler at `address`; they must see the files and the output under the same paths."""
    try:
        from distributed import Client
    except ImportError as error:
        raise BadInput("--dask needs the package distributed: pip install 'fraudline[dask]'") from error
    try:
        client = Client(address, timeout=DASK_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise Unavailable(f"no Dask scheduler answers at {address}: start one, or leave --dask out") from error
    with client:
        count = sum(client.nthreads().values())
        if not count:
            raise Unavailable(f"the Dask scheduler at {address} has no workers: start some, or leave --dask out")
        yield Workers(client.get_executor(pure=False), count)
