"""Many threads, one order."""

import os
import threading
import time

import pytest

from zoo.data.threads import ordered_map, thread_count


def test_thread_count():
    assert thread_count(3) == 3
    assert thread_count(0) == 0
    assert 1 <= thread_count("auto") <= (os.cpu_count() or 1)
    with pytest.raises(ValueError, match="-1"):
        thread_count(-1)


def test_thread_count_is_that_of_the_usable_cores(monkeypatch):
    monkeypatch.setattr("zoo.data.threads.usable_cores", lambda: 7)
    assert thread_count("auto") == 7


@pytest.mark.parametrize("threads", [0, 1, 2, 7])
def test_ordered_map_keeps_the_order(threads):
    def slow_when_even(i):
        time.sleep(0.002 * (i % 2 == 0))
        return i * i

    assert list(ordered_map(slow_when_even, range(40), threads=threads)) == [i * i for i in range(40)]


def test_ordered_map_of_nothing():
    assert list(ordered_map(str, [], threads=2)) == []


def test_ordered_map_stays_a_few_items_ahead():
    started = []
    results = ordered_map(lambda i: started.append(i) or i, range(1000), threads=2)
    for _ in range(3):
        next(results)
    time.sleep(0.05)
    assert len(started) <= 3 + 4 * 2
    results.close()


def test_ordered_map_raises_at_the_place_of_the_failure():
    def fail_at_three(i):
        if i == 3:
            raise KeyError("three")
        return i

    results = ordered_map(fail_at_three, range(100), threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="three"):
        next(results)
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_ordered_map_leaves_no_thread_when_its_reader_stops():
    results = ordered_map(lambda i: i, range(100), threads=3)
    next(results)
    results.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]
