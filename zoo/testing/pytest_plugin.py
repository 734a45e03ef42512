"""The pytest plugin: one test case for each component and property of the plugins that an author names.

    [tool.pytest.ini_options]
    zoo_plugins = ["acme.optimizers"]

or `pytest --zoo-plugin acme.optimizers`. Without either it does nothing. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from zoo.registry import Entry, Registry
    from zoo.testing.properties import Property

OPTION, INI = "--zoo-plugin", "zoo_plugins"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option and the setting."""
    parser.getgroup("zoo").addoption(
        OPTION,
        action="append",
        default=[],
        metavar="NAME",
        help="check this plugin (or distribution, or component) against zoo's contracts; may be repeated",
    )
    parser.addini(INI, "plugins that are checked against zoo's contracts", type="args", default=[])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Adds the cases behind all other tests, before `-k` and `-m` choose among them."""
    names = _asked(session.config)
    if names:
        collector = PluginCases.from_parent(session, name="zoo", nodeid="zoo", plugins=names)
        items += list(collector.collect())


def _asked(config: pytest.Config) -> list[str]:
    """The plugins to check; those of the ini file only where no single test file was named on the command line."""
    asked = list(config.getoption(OPTION))
    single = any(".py" in argument or "::" in argument for argument in config.args)
    return asked or ([] if single else list(config.getini(INI)))


class PluginCases(pytest.Collector):
    """All cases of some plugins."""

    def __init__(self, *, plugins: list[str], **about: Any) -> None:
        super().__init__(**about)
        self._plugins = plugins

    def collect(self) -> Iterator[pytest.Item]:
        """One case for each component and property.

        Raises:
            UsageError: There is no such plugin, or it failed to load.
        """
        from zoo.errors import ZooError
        from zoo.plugins import load_plugins
        from zoo.testing.properties import chosen
        from zoo.verbs.plugins_check import meant

        plugins = load_plugins()
        for name in self._plugins:
            try:
                entries, _ = meant(plugins, name)
            except ZooError as error:
                raise pytest.UsageError(str(error)) from error
            for entry in entries:
                for one in chosen(entry.kind):
                    yield PropertyCase.from_parent(
                        self,
                        name=f"{entry.kind} {entry.full_name}: {one.title}",
                        entry=entry,
                        registry=plugins.registry,
                        of=one,
                    )


class PropertyCase(pytest.Item):
    """One property of one component."""

    def __init__(self, *, entry: Entry, registry: Registry, of: Property, **about: Any) -> None:
        super().__init__(**about)
        self._entry, self._registry, self._property = entry, registry, of
        if of.slow:
            self.add_marker("zoo_slow")

    def runtest(self) -> None:
        """Looks at it.

        Raises:
            NotConforming: It does not hold.
        """
        from zoo.testing.checking import look_at
        from zoo.testing.results import NotConforming, Status

        found = look_at(
            self._entry, self._registry, property=self._property, blame_building=self._property.key == "builds"
        )
        if found.status is Status.NOT_APPLICABLE:
            pytest.skip(f"not applicable: {found.what}")
        if found.status is Status.FAILED:
            raise NotConforming([found])

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What, why and how to fix it, without a traceback through the kit."""
        from zoo.testing.results import NotConforming

        if isinstance(excinfo.value, NotConforming):
            return "\n".join(finding.text() for finding in excinfo.value.findings)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """Where the case is from, and its name in reports."""
        return "zoo", None, self.name


def pytest_configure(config: pytest.Config) -> None:
    """Makes the mark of slow cases known."""
    config.addinivalue_line("markers", "zoo_slow: a zoo property that starts processes; leave out by -m 'not zoo_slow'")
