"""What a run or a saved model stands on: which plugins, in which version, and what is put around its components."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.artifacts.record import ComponentUse, RunRecord, WrapperUse
from zoo.artifacts.saved_model import SavedModel
from zoo.config.rules import automatic_loss
from zoo.config.run_config import FinetuneConfig
from zoo.contracts.data import Task
from zoo.errors import PluginError, UserError, raise_all
from zoo.plugins import DISTRIBUTION, LoadedPlugin, Plugins
from zoo.registry import Entry, Registry

if TYPE_CHECKING:
    from zoo.assembly.session import Session
    from zoo.contracts.training import Plan

Say = Callable[[str], None]


def check_installed(uses: Iterable[ComponentUse | WrapperUse], plugins: Plugins, *, made: str, say: Say) -> None:
    """Refuses where a plugin that was used is missing, and says where it has another version now.

    Args:
        uses: What was used when it was made.
        plugins: What is installed.
        made: What was made of it, for the messages: `the run`, `the model`.
        say: Told of each distribution of another version, a line each.

    Raises:
        UserErrors: Plugins are not installed, or not loaded; each says which distribution to install.
        PluginError: A plugin is installed and failed to load.
    """
    installed: dict[str, LoadedPlugin] = {}
    for plugin in plugins.plugins:
        if installed.get(plugin.origin.plugin, plugin).status != "ok" or plugin.origin.plugin not in installed:
            installed[plugin.origin.plugin] = plugin
    used = list({use.plugin: use for use in uses}.values())
    raise_all([error for use in used if (error := _missing(use, installed.get(use.plugin), made=made)) is not None])
    told = set()
    for use in used:
        now = installed[use.plugin].origin
        change = (use.distribution, use.version, now.distribution, now.version)
        if change[:2] != change[2:] and change not in told:
            told.add(change)
            say(
                f"note: {made} was made with {use.distribution} {use.version} (plugin {use.plugin}), and now "
                f"{now.distribution} {now.version} is installed; back: pip install {use.distribution}=={use.version}"
            )


def _missing(use: ComponentUse | WrapperUse, plugin: LoadedPlugin | None, *, made: str) -> UserError | None:
    """The error for a plugin that cannot be used now."""
    what = f"{made} used {_what(use)} of plugin {use.plugin!r}"
    if plugin is None:
        return UserError(
            f"{what}, which is not installed",
            where=use.distribution,
            do=f"pip install {use.distribution}=={use.version}",
        )
    if plugin.status == "failed":
        raise PluginError(
            f"{what}, which failed to load: {plugin.reason}\n  plugin:  {plugin.origin}\n"
            f"  do:      pip install {use.distribution}=={use.version}, or ZOO_STRICT=1 to see where it fails"
        )
    if plugin.status == "ignored":
        ways = [f"python -m zoo plugins enable {use.plugin}", f"or name it in ZOO_PLUGINS: ZOO_PLUGINS={use.plugin}"]
        return UserError(f"{what}, which is {plugin.reason}", where=str(plugin.origin), do=ways)
    return None


def _what(use: ComponentUse | WrapperUse) -> str:
    around = f"wrapper {use.target!r} around " if isinstance(use, WrapperUse) else ""
    return f"{around}{use.kind} {use.name!r}"


def wrappers_of(
    config: FinetuneConfig, registry: Registry, *, task: Task, recipe: Iterable[str] = ()
) -> tuple[WrapperUse, ...]:
    """The wrappers that act in a run, in the order of its components, the innermost of each first.

    Args:
        config: With the components that were chosen.
        registry: With the wrappers that are installed.
        task: Decides which loss `auto` means.
        recipe: Full names of the strategy's own regularizers.
    """
    names = [(component.kind, component.name) for component in config.components()]
    names += [("loss", automatic_loss(task))] if config.loss is None else []
    names += [("regularizer", name) for name in recipe]
    return used_wrappers(registry.get(kind, name) for kind, name in dict.fromkeys(names))


def used_wrappers(entries: Iterable[Entry]) -> tuple[WrapperUse, ...]:
    """What is around some components."""
    return tuple(WrapperUse.of(wrapper, entry) for entry in entries for wrapper in entry.wrappers)


def say_wrappers(wrappers: Iterable[WrapperUse], say: Say) -> None:
    """One line for each wrapper that acts."""
    for use in wrappers:
        say(f"wrapper {use.kind} {use.name}: {use.target} of {use.plugin} ({use.distribution} {use.version})")


def say_acting(session: Session, plan: Plan, *, task: Task) -> tuple[WrapperUse, ...]:
    """Says which wrappers act where a plan is carried out."""
    recipe = [name for phase in plan.phases for name in phase.regularizers]
    acting = wrappers_of(session.config, session.registry, task=task, recipe=recipe)
    say_wrappers(acting, session.console.say)
    return acting


def record_wrappers(session: Session, plan: Plan, *, task: Task) -> None:
    """Says which wrappers act in this run, and writes them into its record."""
    session.update(wrappers=say_acting(session, plan, task=task))


def check_wrappers(record: RunRecord, config: FinetuneConfig, *, registry: Registry) -> None:
    """Refuses to resume where other wrappers would act than those with which the run began.

    Raises:
        UserError: It names each that is missing, with what to install, and each that is new.
    """
    if record.wrappers is None or record.data is None:
        return  # stopped before it was known what acts: nothing was trained with it
    plan: Mapping[str, Any] = record.choices.get("plan") or {"phases": ()}
    recipe = [name for phase in plan["phases"] for name in phase["regularizers"]]
    now = wrappers_of(config, registry, task=record.data.task, recipe=recipe)
    before_keys, now_keys = [use.key for use in record.wrappers], [use.key for use in now]
    if before_keys == now_keys:
        return
    missing = [use for use in record.wrappers if use.key not in now_keys]
    new = [use for use in now if use.key not in before_keys]
    said = [f"no longer there: {_what(use)}" for use in missing] + [f"new: {_what(use)}" for use in new]
    ways = [f"pip install {use.distribution}=={use.version} (plugin {use.plugin})" for use in missing]
    ways += [f"python -m zoo plugins disable {use.plugin}, then resume, then enable it" for use in new]
    raise UserError(
        "other wrappers are installed than those with which this run began",
        where="; ".join(said) or "their order",
        do=list(dict.fromkeys(ways)) or "install the versions of the plugins that the run's record.json names",
    )


def recorded_wrappers(uses: Sequence[WrapperUse], registry: Registry, *, made: str) -> Registry:
    """The components with those wrappers around them that were there when something was made, and no others.

    Raises:
        UserError: One of them is no longer offered by its plugin.
    """
    kept = []
    for use in uses:
        around = [wrapper for wrapper in registry.wrappers if wrapper.acts_on(use.kind, use.name)]
        same = [w for w in around if (w.target, w.origin.plugin) == (use.target, use.plugin)]
        if not same:
            raise UserError(
                f"{made} was made with {_what(use)}, which plugin {use.plugin!r} no longer offers",
                where=use.distribution,
                do=f"pip install {use.distribution}=={use.version}",
            )
        kept.append(dataclasses.replace(same[0], wrapped=use.name))
    return registry.with_wrappers(kept)


def made_of(entries: Sequence[Entry]) -> dict[str, Any]:
    """What a saved model says of the plugins that are needed to build it again; nothing where zoo's own do."""
    found: dict[str, Any] = {}
    strangers = [ComponentUse.of(entry) for entry in entries if entry.origin.distribution != DISTRIBUTION]
    if strangers:
        found["plugins"] = [dataclasses.asdict(use) for use in strangers]
    wrappers = used_wrappers(entries)
    if wrappers:
        found["wrappers"] = [dataclasses.asdict(use) for use in wrappers]
    return found


def registry_of(saved: SavedModel, plugins: Plugins, *, say: Say) -> Registry:
    """The components as they were when a model was saved: with its own wrappers around its network and head.

    Raises:
        UserError: A plugin that it needs is missing; the message says what to install.
        PluginError: Such a plugin failed to load.
    """
    wrappers = tuple(WrapperUse(**use) for use in saved.origin.get("wrappers") or ())
    parts = tuple(ComponentUse(**use) for use in saved.origin.get("plugins") or ())
    check_installed((*parts, *wrappers), plugins, made="the model", say=say)
    return recorded_wrappers(wrappers, plugins.registry, made="the model")
