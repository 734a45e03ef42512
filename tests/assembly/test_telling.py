"""Callbacks: who is told what, in which order, what may be answered, and whose fault a crash is."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from support.watching import started, step_ended, validated

from zoo.assembly.telling import Listener, Told, check_methods, only_in_training
from zoo.config.run_config import Component
from zoo.contracts import callbacks
from zoo.contracts.callbacks import ANSWERS, IN_TRAINING, METHODS, Callback, RunBroken, Section, StepEnded, Stop
from zoo.errors import PluginError, UserError, UserErrors
from zoo.registry import Entry, Offer, Origin, Registry


def entry(name: str = "quiet", *, plugin: str = "acme.watch", target: str = "", **facts: Any) -> Entry:
    offer = Offer(target or f"{__name__.partition('.')[0]}.test_telling:Quiet", "x", None, facts)
    return Entry("callback", name, offer, Origin(plugin, "acme-watch", "1.2"))


def listener(callback: object, *, key: str = "callbacks.quiet", **parts: Any) -> Listener:
    return Listener(key, callback, entry(**parts))


class Quiet:
    def __init__(self, answer: object = None) -> None:
        self.answer, self.heard = answer, []

    def on_validation_end(self, event: object) -> object:
        self.heard.append(event)
        return self.answer


class Steps(Quiet):
    def on_step_end(self, event: object) -> object:
        return self.on_validation_end(event)


class Breaks:
    def on_run_start(self, event: object) -> None:
        pass

    def on_step_end(self, event: object) -> None:
        raise ValueError("too shaky")

    on_break = on_step_end


class Counts:
    def __init__(self) -> None:
        self.state: dict[str, Any] = {"count": 0, "pair": (1, 2)}
        self.order: list[str] = []

    def check(self, event: object) -> None:
        self.order.append("check")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.order.append("load")
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def on_run_start(self, event: object) -> None:
        self.order.append("start")


class Refuses:
    def __init__(self, what: str) -> None:
        self.what = what

    def check(self, event: object) -> None:
        raise UserError(f"{self.what} has no effect")

    def on_batch(self, event: object) -> None:
        pass


def test_each_event_has_one_method_of_the_contract_and_each_method_an_event():
    methods = {name for name, _ in inspect.getmembers(Callback, inspect.isfunction) if name.startswith("on_")}
    assert set(METHODS.values()) == methods
    events = {
        found
        for _, found in inspect.getmembers(callbacks, inspect.isclass)
        if dataclasses.is_dataclass(found) and found not in (Stop, Section, callbacks.Answers)
    }
    assert {event for event in events if event.__module__ == callbacks.__name__} == set(METHODS)
    assert set(METHODS.values()) >= IN_TRAINING
    assert set(ANSWERS) < set(METHODS)


def test_all_are_told_in_their_order_and_only_what_they_have_a_method_for():
    first, second = Quiet(), Steps()
    told = Told([listener(first), listener(second)])
    assert told.hears(StepEnded)
    assert not told.hears(callbacks.BatchReady)
    told.tell(step_ended(1))
    told.tell(validated(4))
    assert len(first.heard) == 1
    assert len(second.heard) == 2


def test_nobody_hears_anything_and_costs_nothing():
    told = Told()
    assert not any(told.hears(event) for event in METHODS)
    assert told.tell(step_ended(1)) == []
    assert told.state_dict() == {}
    assert told.broken(ValueError()) == []


def test_reasons_to_stop_come_in_the_order_of_the_list():
    told = Told([listener(Quiet(Stop("a"))), listener(Quiet()), listener(Quiet(Stop("b")))])
    assert told.tell(validated()) == [Stop("a"), Stop("b")]


@pytest.mark.parametrize(
    ("callback", "event", "allowed"),
    [
        (Quiet("stop"), validated(), "Stop or None"),
        (Quiet(Section("a", "b")), validated(), "Stop or None"),
        (Steps(Stop("too soon")), step_ended(1), "this event takes no answer"),
    ],
)
def test_an_answer_that_the_event_does_not_take_is_an_error_that_names_the_plugin(callback, event, allowed):
    with pytest.raises(PluginError, match=allowed) as error:
        Told([listener(callback)]).tell(event)
    assert "acme.watch (acme-watch 1.2)" in str(error.value)


def test_a_crash_names_the_callback_that_crashed_and_not_another_of_its_package():
    told = Told([listener(Steps(), name="calm"), listener(Breaks(), name="shaky")])
    with pytest.raises(PluginError, match="callback 'acme/shaky' crashed: ValueError: too shaky") as error:
        told.tell(step_ended(1))
    assert "acme.watch (acme-watch 1.2)" in str(error.value)
    assert "in on_step_end" in str(error.value)


def test_those_after_one_that_crashes_still_hear_of_it():
    """A tracker's curve has no hole where a callback broke."""
    last = Steps()
    told = Told([listener(Breaks(), name="shaky"), listener(Breaks(), name="shakier"), listener(last)])
    with pytest.raises(PluginError, match="acme/shaky'"):
        told.tell(step_ended(1))
    assert len(last.heard) == 1


def test_a_crash_of_a_built_in_callback_stays_what_it_is():
    with pytest.raises(ValueError, match="too shaky"):
        Told([listener(Breaks(), plugin="zoo.callbacks")]).tell(step_ended(1))


def test_a_user_error_of_a_callback_is_shown_as_it_is():
    class Full:
        def on_step_end(self, event: object) -> None:
            raise UserError("the disk is full")

    with pytest.raises(UserError, match="the disk is full"):
        Told([listener(Full())]).tell(step_ended(1))


def test_checks_come_first_then_states_then_the_start():
    callback = Counts()
    told = Told([listener(callback, key="callbacks.counts")])
    told.start(started(), states={"callbacks.counts": {"count": 7}})
    assert callback.order == ["check", "load", "start"]
    assert callback.state == {"count": 7}


def test_without_a_saved_state_none_is_given_back():
    callback = Counts()
    Told([listener(callback, key="callbacks.counts")]).start(started(), states={"callbacks.other": {"count": 7}})
    assert callback.order == ["check", "start"]


def test_all_that_refuse_are_shown_together_and_nobody_was_told_of_the_start():
    callback = Counts()
    told = Told([listener(callback), listener(Refuses("this")), listener(Refuses("that"))])
    with pytest.raises(UserErrors, match=r"this has no effect(.|\n)*that has no effect"):
        told.start(started(), states={})
    assert callback.order == ["check"]
    assert told.broken(ValueError()) == []


def test_states_come_back_from_json_as_plain_values():
    states = Told([listener(Counts(), key="callbacks.a"), listener(Quiet(), key="callbacks.b")]).state_dict()
    assert states == {"callbacks.a": {"count": 0, "pair": [1, 2]}}
    assert json.loads(json.dumps(states)) == states


def test_a_state_that_is_no_json_names_its_plugin():
    callback = Counts()
    callback.state = {"folder": Path("x")}
    with pytest.raises(PluginError, match="no plain JSON") as error:
        Told([listener(callback)]).state_dict()
    assert "acme-watch 1.2" in str(error.value)


def test_the_end_is_told_once_and_only_after_the_start_and_a_failure_in_it_is_a_sentence():
    told = Told([listener(Breaks(), name="shaky")])
    assert told.broken(ValueError()) == []
    told.start(started(), states={})
    (said,) = told.broken(ValueError())
    assert said.startswith("callback acme/shaky could not be told of the end: callback 'acme/shaky' crashed")
    assert told.broken(ValueError()) == []


def test_break_carries_what_ended_the_run():
    class Notes(Counts):
        def on_break(self, event: RunBroken) -> None:
            self.order.append(str(event.error))

    callback = Notes()
    told = Told([listener(callback)])
    told.start(started(), states={})
    told.broken(KeyboardInterrupt("by hand"))
    assert callback.order[-1] == "by hand"


def test_a_break_is_told_to_those_who_know_of_the_start():
    class Fails:
        order: list[str] = []

        def on_run_start(self, event: object) -> None:
            raise ValueError("no room")

        def on_break(self, event: object) -> None:
            self.order.append("break")

    class Notes(Counts):
        def on_break(self, event: object) -> None:
            self.order.append("break")

    first, second, third = Notes(), Fails(), Notes()
    told = Told([listener(callback) for callback in (first, second, third)])
    with pytest.raises(PluginError, match="no room") as error:
        told.start(started(), states={})
    assert told.broken(error.value) == []
    assert (first.order, second.order, third.order) == (["check", "start", "break"], [], ["check"])


class Mistyped:
    def on_validation_ended(self, event: object) -> None:
        pass


class Fields:
    on_gpu = True

    def on_run_end(self, event: object) -> None:
        pass


def test_a_method_for_an_event_that_there_is_not_names_the_nearest():
    with pytest.raises(PluginError, match="on_validation_ended") as error:
        check_methods(Mistyped(), entry())
    assert "allowed: on_validation_end" in str(error.value)
    assert "acme-watch 1.2" in str(error.value)


def test_a_callback_without_any_event_is_an_error():
    with pytest.raises(PluginError, match="no method that is told anything") as error:
        check_methods(object(), entry())
    assert "on_run_start" in str(error.value)
    check_methods(Fields(), entry())  # a value is no method


def test_what_listens_to_gradient_descent_alone_is_known_by_fact_or_methods():
    registry = Registry()
    offered = [entry("fact", needs_training=True), entry("batches"), entry("ends")]
    registry.add(offered)
    chosen = [Component("callback", f"callbacks.{one.name}", one.full_name, {}) for one in offered]
    assert only_in_training(chosen, registry, told=Told()) == ["callbacks.fact"]
    built = Told([listener(Refuses(""), key="callbacks.batches"), listener(Fields(), key="callbacks.ends")])
    assert only_in_training(chosen, registry, told=built) == ["callbacks.fact", "callbacks.batches"]
