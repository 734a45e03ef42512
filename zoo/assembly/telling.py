"""Callbacks and trackers of a run: built and checked, told what happens, their states saved and given back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.assembly.blame import plugin_error
from zoo.config.run_config import Component
from zoo.contracts.callbacks import ANSWERS, IN_TRAINING, METHODS, RunBroken, RunStarted
from zoo.errors import PluginError, UserError, ZooError, name_list, raise_all
from zoo.registry import Entry, Registry


@dataclass(frozen=True)
class Listener:
    """One callback of a run.

    Attributes:
        key: Where it stands in the configuration: `callbacks.stop_when`; a checkpoint keeps its state by it.
        callback: What is told; for a tracker, what tells it.
        entry: The component, for blame.
    """

    key: str
    callback: Any
    entry: Entry


class Told:
    """All that listens to a run, in the order in which it is told; nothing on the other processes."""

    def __init__(self, listeners: Sequence[Listener] = ()) -> None:
        """Takes listeners whose methods have been checked."""
        self.listeners = tuple(listeners)
        self._begun: list[Listener] = []  # those who know of the run's start: they alone learn of a break
        self._hear = {
            event: tuple(one for one in self.listeners if hasattr(one.callback, method))
            for event, method in METHODS.items()
        }

    def hears(self, event: type[Any]) -> bool:
        """Whether anyone is told of such events."""
        return bool(self._hear[event])

    def tell(self, event: Any) -> list[Any]:
        """Tells all of an event, one after the other; where one crashes, those after it still hear of it.

        Returns:
            What was answered, in their order; those that said nothing are left out.

        Raises:
            PluginError: A third party's callback crashed (the first is named), or answered what this event does not
                take.
        """
        answers: list[Any] = []
        crashed: list[Exception] = []
        for one in self._hear[type(event)]:
            try:
                answers.append(self._told(one, event))
            except Exception as error:
                crashed.append(error)
        if crashed:
            raise crashed[0]
        return [answer for answer in answers if answer is not None]

    def _told(self, one: Listener, event: Any) -> Any:
        method, allowed = METHODS[type(event)], ANSWERS.get(type(event))
        answer = _guarded(one, getattr(one.callback, method), event)
        if answer is None or (allowed is not None and isinstance(answer, allowed)):
            return answer
        takes = f"{allowed.__name__} or None" if allowed is not None else "None: this event takes no answer"
        raise PluginError(
            f"{one.entry.kind} {one.entry.full_name!r} answers {answer!r} to {method}\n"
            f"  allowed: {takes}\n  plugin:  {one.entry.origin}"
        )

    def start(self, event: RunStarted, *, states: Mapping[str, Mapping[str, Any]]) -> None:
        """Asks each whether it can act in this run, gives saved states back, and tells of the start.

        Args:
            event: The start.
            states: Key to state, of the last checkpoint of a resumed run.

        Raises:
            UserErrors: Some can have no effect.
        """
        raise_all(self._without_effect(event))
        for one in self.listeners:
            if one.key in states and hasattr(one.callback, "load_state_dict"):
                _guarded(one, one.callback.load_state_dict, states[one.key])
        for one in self.listeners:
            if hasattr(one.callback, METHODS[RunStarted]):
                self._told(one, event)
            self._begun.append(one)

    def _without_effect(self, event: RunStarted) -> list[UserError]:
        errors = []
        for one in self.listeners:
            try:
                if hasattr(one.callback, "check"):
                    _guarded(one, one.callback.check, event)
            except UserError as error:
                errors.append(error)
        return errors

    def broken(self, error: BaseException) -> list[str]:
        """Tells of the run's early end; one that fails in it does not hide why the run ended.

        Returns:
            A sentence for each that failed.
        """
        failed = []
        for one in [one for one in self._hear[RunBroken] if one in self._begun]:
            try:
                self._told(one, RunBroken(error))
            except Exception as another:
                what = str(another).partition("\n")[0] or type(another).__name__
                failed.append(f"{one.entry.kind} {one.entry.full_name} could not be told of the end: {what}")
        self._begun = []
        return failed

    def state_dict(self) -> dict[str, Any]:
        """Key to state, of those that remember something.

        Raises:
            PluginError: A state is no plain JSON.
        """
        states: dict[str, Any] = {}
        for one in self.listeners:
            if hasattr(one.callback, "state_dict"):
                state = _guarded(one, one.callback.state_dict)
                try:
                    states[one.key] = json.loads(json.dumps(state))
                except (TypeError, ValueError) as error:
                    raise PluginError(
                        f"{one.entry.kind} {one.entry.full_name!r} has a state that is no plain JSON: {error}\n"
                        f"  allowed: numbers, text, true, false, null, and lists and maps of them\n"
                        f"  plugin:  {one.entry.origin}"
                    ) from error
        return states


def _guarded(one: Listener, call: Callable[..., Any], *about: Any) -> Any:
    """What a listener's method returns; a crash names the component and its plugin."""
    try:
        return call(*about)
    except ZooError:
        raise
    except Exception as error:
        named = plugin_error(error, [one.entry])
        if named is None:
            raise
        raise named from error


def check_methods(callback: object, entry: Entry) -> None:
    """Refuses a callback that could never be told anything, or waits for something that never comes.

    Raises:
        PluginError: It has a method `on_*` that is no event, or none at all.
    """
    known = set(METHODS.values())
    found = [name for name in dir(callback) if name.startswith("on_") and callable(getattr(callback, name))]
    for name in found:
        if name not in known:
            raise PluginError(
                f"{entry.kind} {entry.full_name!r} has a method {name!r}, and there is no such event\n"
                f"  allowed: {name_list(name, known)}\n"
                f"  plugin:  {entry.origin}\n"
                f"  do:      rename it; one that is the callback's own business starts with an underscore"
            )
    if not found:
        raise PluginError(
            f"{entry.kind} {entry.full_name!r} has no method that is told anything\n"
            f"  allowed: at least one of {', '.join(METHODS.values())}\n"
            f"  plugin:  {entry.origin}"
        )


def only_in_training(components: Sequence[Component], registry: Registry, *, told: Told) -> list[str]:
    """Keys of the callbacks that can act only where gradient descent runs: by their fact, or by their methods.

    Args:
        components: The chosen callbacks.
        registry: Knows what their plugins say of them.
        told: Those that are built; elsewhere the facts alone are looked at.
    """
    built = {one.key: one.callback for one in told.listeners}
    return [
        component.key
        for component in components
        if registry.get(component.kind, component.name).facts.get("needs_training")
        or (component.key in built and _events_of(built[component.key]) <= IN_TRAINING)
    ]


def _events_of(callback: object) -> set[str]:
    return {method for method in METHODS.values() if hasattr(callback, method)}
