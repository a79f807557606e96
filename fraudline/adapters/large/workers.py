"""Who works a large backfill's partitions: processes of this machine, or those of a Dask cluster."""

import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

import pyarrow as pa

from fraudline.errors import BadInput, Unavailable

R = TypeVar("R")
DASK_SECONDS = 15


@dataclass(frozen=True)
class Workers:
    """`count` tasks run at a time."""

    executor: Executor
    count: int

    def results(self, function: Callable[..., R], tasks: Iterable[tuple[Any, ...]]) -> Generator[R]:
        """What the function gives for each task's arguments, as they are done: few wait to be taken at a time.

        A task's arguments are asked for when it can be started soon. None runs any more when this has ended or was
        closed: who may be done again before it has ended closes it.
        """
        waiting, running = iter(tasks), set[Future[R]]()
        try:
            while True:
                for task in islice(waiting, 2 * self.count - len(running)):
                    running.add(self.executor.submit(function, *task))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            raise Unavailable(
                "a worker process of the backfill was killed, most often for want of memory: what was finished is kept,"
                " run it again"
            ) from error
        finally:
            for future in running:
                future.cancel()
            # None writes any more when an attempt after this one begins.
            wait(running)


@contextmanager
def processes() -> Iterator[Workers]:
    """One process for each core. They start anew: a fork of a process with threads may never wake up."""
    count = os.cpu_count() or 1
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_start)
    try:
        yield Workers(pool, count)
    finally:
        pool.shutdown(cancel_futures=True)


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
