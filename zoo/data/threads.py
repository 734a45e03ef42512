"""How many threads, and results of many in the order of their questions."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, TypeVar

from zoo.machine import usable_cores

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def thread_count(threads: int | Literal["auto"]) -> int:
    """The number itself, or for `auto` the cores that this process may use.

    Raises:
        ValueError: A negative number.
    """
    if threads != "auto":
        if threads < 0:
            raise ValueError(f"threads={threads}; allowed are auto, 0 and more")
        return threads
    return usable_cores()


def ordered_map(function: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int) -> Iterator[_Result]:
    """Results in the order of the items; threads are a few items ahead of the reader and no more.

    The first exception reaches the reader at its place. Whatever ends the reading, no thread outlives it.
    """
    waiting: deque[Future[_Result]] = deque()
    rest = iter(items)
    executor = ThreadPoolExecutor(max(1, threads), thread_name_prefix="decode")
    try:
        waiting.extend(executor.submit(function, item) for item in itertools.islice(rest, 4 * max(1, threads)))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(executor.submit(function, item) for item in itertools.islice(rest, 1))
            yield result
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
