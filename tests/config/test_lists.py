"""Callbacks and trackers in a configuration: none by default, listed with their options, two of a kind."""

from __future__ import annotations

import pytest

from zoo.config.compose import configure, from_plain, to_plain
from zoo.errors import UserError
from zoo.plugins import load_plugins


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(only=[])


def config_of(plugins, *words):
    return configure(["model=lenet5", *words], plugins, source_for=lambda path: "folder")


def test_there_are_none_unless_they_are_listed(plugins):
    config = config_of(plugins)
    assert (config.callbacks, config.trackers) == ((), ())
    assert (to_plain(config)["callbacks"], to_plain(config)["trackers"]) == ({}, {})


def test_they_come_in_the_order_of_the_list_with_checked_options(plugins):
    words = ("callbacks=[worst,stop_when]", "callbacks.stop_when.target=0.9", "trackers=[csv]")
    config = config_of(plugins, *words)
    assert [one.key for one in config.callbacks] == ["callbacks.worst", "callbacks.stop_when"]
    assert config.callbacks[1].own == {"measure": "accuracy", "target": 0.9, "patience": None, "min_delta": 0.0}
    assert {one.name for one in config.components()} >= {"zoo/worst", "zoo/stop_when", "zoo/csv"}
    assert config.asked("callbacks.stop_when.target")
    assert not config.asked("callbacks.stop_when.patience")
    again = from_plain(to_plain(config), plugins, origins=config.origins)
    assert (again.callbacks, again.trackers) == (config.callbacks, config.trackers)


def test_every_tracker_says_how_often_and_takes_no_part_in_it(plugins):
    config = config_of(plugins, "trackers=[csv,jsonl,csv@2]", "trackers.csv_2.every_steps=1")
    assert [(one.key, one.options["every_steps"], one.own) for one in config.trackers] == [
        ("trackers.csv", 10, {}),
        ("trackers.jsonl", 10, {}),
        ("trackers.csv_2", 1, {}),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("trackers=[csv,csv]",), "stands twice in the list"),
        (("trackers=[csv]", "trackers.csv.every_steps=0"), "of at least 1"),
        (("callbacks=[worst]", "callbacks.worst.split=train"), "'auto' | 'val' | 'test'"),
        (("callbacks.worst.images=3",), "choose it too"),
    ],
)
def test_what_does_not_fit_is_refused(plugins, words, said):
    with pytest.raises(UserError) as error:
        config_of(plugins, *words)
    assert said in str(error.value)
