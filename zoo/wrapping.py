"""Wrappers: what a plugin puts around components that another plugin offers. Imports no torch.

Pluggy's own hook wrappers are not used for this: they wrap the call that registers, not what is built later; their
order is that of registration; and what they do cannot be listed before it is done.
"""

from __future__ import annotations

import pkgutil
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.errors import PluginError, ZooError

if TYPE_CHECKING:
    from zoo.components import Origin

ANY = "*"
"""Instead of a full name: every component of the kind."""


@dataclass(frozen=True)
class Wrapper:
    """What is put around a component once it is built.

    Attributes:
        kind: Kind of the component.
        wrapped: Its full name (`torch/sgd`), or `*` for every component of the kind.
        target: `module:attr` of a function `wrap(component, *, name)`, loaded when such a component is built.
        summary: One line of what it does.
        origin: The plugin that wraps.
    """

    kind: str
    wrapped: str
    target: str
    summary: str
    origin: Origin

    def acts_on(self, kind: str, full_name: str) -> bool:
        """Whether it is put around this component."""
        return kind == self.kind and self.wrapped in (ANY, full_name)

    def around(self, component: Any, *, name: str) -> Any:
        """The wrapped component, which must honour the contract of its kind as the bare one does.

        Args:
            component: As it was built, with the wrappers further inside around it.
            name: Its full name.

        Raises:
            PluginError: The wrapper cannot be loaded, crashes, or returns nothing.
        """
        what = f"wrapper {self.target!r} of {self.kind} {name!r}"
        try:
            wrap = pkgutil.resolve_name(self.target)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{what} cannot be loaded: {type(error).__name__}: {error}\n  plugin:  {self.origin}"
            ) from error
        try:
            wrapped = wrap(component, name=name)
        except ZooError:
            raise
        except (Exception, SystemExit) as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise PluginError(
                f"{what} crashed: {type(error).__name__}: {error}\n"
                f"  where:   {last.filename}, line {last.lineno}, in {last.name}\n"
                f"  plugin:  {self.origin}\n"
                f"  do:      python -m zoo plugins disable {self.origin.plugin}, or ask its author with these lines"
            ) from error
        if wrapped is None:
            raise PluginError(
                f"{what} returned nothing; it must return the wrapped component\n  plugin:  {self.origin}"
            )
        return wrapped
