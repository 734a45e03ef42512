"""What timm publishes of a network's weights, in zoo's terms."""

from __future__ import annotations

import re
import sys
from typing import Any

from timm.models import get_pretrained_cfg, model_entrypoint
from timm.models._pretrained import PretrainedCfg
from timm.models._registry import get_arch_pretrained_cfgs
from zoo_plugins.papers import Paper, arxiv
from zoo_plugins.timm_papers import paper_for

from zoo.contracts.model import WeightsRecord
from zoo.imaging.preprocess import Preprocess
from zoo.weights.files import preprocess_from_config

UNSURE = ("mobilenetv5", "test_")
"""Their modules name a paper that is about other networks."""

HOME = "https://github.com/huggingface/pytorch-image-models"

_HASH = re.compile(r"-([a-f0-9]{8,})\.[a-z.]+$")
_ARXIV = re.compile(r"(?:arxiv\.org/(?:abs|pdf)/|arXiv:)(\d{4}\.\d{4,5})", re.IGNORECASE)


def preprocess_of(cfg: PretrainedCfg) -> Preprocess:
    """How the weights of one tag want their input; the size is the shorter side of timm's input size."""
    return preprocess_from_config(cfg.to_dict())


def record_of(cfg: PretrainedCfg) -> WeightsRecord:
    """One published set of weights."""
    return WeightsRecord(
        tag=cfg.tag or "",
        preprocess=preprocess_of(cfg),
        hub_id=cfg.hf_hub_id or None,
        url=_loadable_url(cfg),
        file=cfg.hf_hub_filename or None,
        classes=cfg.num_classes,
        license=cfg.license,
        sha256=hash_in(cfg.url or ""),
    )


def hash_in(url: str) -> str:
    """The beginning of a file's SHA-256 that PyTorch's convention puts into its name: `resnet18-f37072fd.pth`."""
    match = _HASH.search(url)
    return match.group(1) if match else ""


def _loadable_url(cfg: PretrainedCfg) -> str | None:
    """The direct address, unless it leads to a JAX archive: those lie in PyTorch's form on the hub."""
    return None if cfg.custom_load or not cfg.url else str(cfg.url)


def configs_of(arch: str, tag: str = "") -> tuple[PretrainedCfg, ...]:
    """Published configurations with weights, the default first; only the one of `tag` where it is given."""
    if tag:
        return (get_pretrained_cfg(f"{arch}.{tag}"),)
    default = get_pretrained_cfg(arch)
    rest = [cfg for cfg in get_arch_pretrained_cfgs(arch).values() if cfg.tag != (default and default.tag)]
    return tuple(cfg for cfg in [default, *rest] if cfg is not None and cfg.has_weights)


def records_of(arch: str, tag: str = "") -> tuple[WeightsRecord, ...]:
    """The same as records; sets that only timm's own converters can read are left out."""
    records = [record_of(cfg) for cfg in configs_of(arch, tag)]
    return tuple(record for record in records if record.hub_id or record.url)


def paper_of(arch: str) -> Paper | None:
    """The paper of an architecture where it is known without doubt, or None.

    It is zoo's own table's, or else the only one that the docstring of timm's module names (then without a title).
    `paper_ids` beside weights is mostly the paper of how they were trained.
    """
    known = paper_for(arch)
    if known is not None or arch.startswith(UNSURE):
        return known
    module = sys.modules[model_entrypoint(arch).__module__]
    named = sorted(set(_ARXIV.findall(module.__doc__ or "")))
    return arxiv(named[0], "") if len(named) == 1 else None


def reference_of(arch: str, cfg: PretrainedCfg | None) -> str:
    """What to read of a network: its paper, else the paper or home of its default weights, else timm's own page."""
    stated = cfg.paper_ids if cfg is not None else None
    of_weights = stated if isinstance(stated, str) or not stated else str(stated[0])
    paper = paper_of(arch)
    if paper is not None:
        return paper.reference
    return of_weights or (cfg.origin_url if cfg is not None else None) or HOME


def label_names(record: WeightsRecord) -> tuple[str, ...]:
    """Names of the published head's outputs, or () where timm does not list them: `tench, Tinca tinca`."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": record.classes})
    names: list[Any] = ImageNetInfo(subset).label_descriptions() if subset else []
    return tuple(str(name) for name in names)
