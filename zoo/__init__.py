"""zoo: fine-tune a pretrained image network on your own images, with one command or one call.

    import zoo

    run = zoo.finetune(model="resnet18", data="my/photos")
    zoo.load(run.dir).predict("new/photos")

The names below are loaded on first use, so that `import zoo` costs nothing and imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.api import Run, finetune, list_models, load, publish

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "finetune", "list_models", "load", "publish"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("zoo.api"), name)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")
