"""timm's names as components of kind `model`."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

import timm
from timm.models import get_pretrained_cfg, model_entrypoint, split_model_name_tag
from timm.models._registry import _deprecated_models, get_arch_pretrained_cfgs
from zoo_plugins.classic_papers import classic_facts
from zoo_plugins.timm_records import paper_of, records_of, reference_of

from zoo.registry import Offer


class TimmModels:
    """Names every architecture of timm; `offer` takes a weight tag behind a dot, too."""

    def __init__(self) -> None:
        self._names = timm.list_models()
        self._known = frozenset(self._names)

    def names(self) -> list[str]:
        """All architectures, without weight tags."""
        return list(self._names)

    def offer(self, name: str) -> Offer | None:
        """The network of this name, with the weights of its tag where one is given; None where timm lacks either.

        Names that timm gave up mean what timm says of them: `xception` is `legacy_xception`.
        """
        current = name if name in self._known else _deprecated_models.get(name) or name
        arch, tag = split_model_name_tag(current)
        if arch not in self._known or (current != arch and current not in get_arch_pretrained_cfgs(arch)):
            return None
        cfg = get_pretrained_cfg(current)
        paper = paper_of(arch)
        family = model_entrypoint(arch).__module__.rpartition(".")[2]
        heads = cfg.classifier if cfg is not None else None
        limit = "" if isinstance(heads, str) else "; has no single classifier, so it cannot be fine-tuned here"
        return Offer(
            target="zoo_plugins.timm_builder:build",
            summary=f"{arch} of timm's {family}{limit}",
            source=reference_of(arch, cfg),
            facts={
                "library": "timm",
                "paper": paper.reference if paper else None,
                "title": paper.title if paper else None,
                "year": paper.year if paper else None,
                "input_px": min(cfg.input_size[1:]) if cfg is not None else None,
                "records": records_of(arch, tag),
                **_counts().get(arch, {}),
                **classic_facts(arch),
            },
            name=current,
            bound={"arch": arch, "tag": tag},
        )


@cache
def _counts() -> dict[str, dict[str, Any]]:
    """Parameters and multiply-adds of each architecture, counted once by `timm_counts.write_table`.

    Empty where another version of timm is installed than the one that was counted: what is shown is counted anew then.
    """
    table = json.loads(resources.files("zoo_plugins").joinpath("timm_counts.json").read_text(encoding="utf-8"))
    if table["timm"] != timm.__version__:
        return {}
    keys = ("parameters", "multiply_adds")
    return {name: {k: v for k, v in zip(keys, row, strict=True) if v} for name, row in table["counts"].items()}
