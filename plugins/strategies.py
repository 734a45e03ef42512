"""Strategies: what is trained, when, and how fast."""

from __future__ import annotations

from zoo.hookspecs import hookimpl
from zoo.plugins import Register


@hookimpl
def register_strategies(register: Register) -> None:
    """`auto` chooses among the others by what the data offer."""
    home = "zoo_plugins.strategy_plans"
    parts = "zoo_plugins.strategy_parts"
    register(
        "auto",
        "zoo_plugins.strategy_auto:Auto",
        summary="chooses by images per class and prints its rule",
        source="zoo: benchmarks/strategies.md",
    )
    register(
        "probe",
        f"{home}:LinearProbe",
        summary="frozen backbone, features computed once, head fitted on them",
        source="arXiv:1805.08974",
    )
    register(
        "lpft",
        f"{home}:ProbeThenFineTune",
        summary="probe, then the whole network with smaller rates for earlier layers",
        source="arXiv:2202.10054",
    )
    register(
        "full",
        f"{home}:FullFineTune",
        summary="the whole network from the start, with a fresh head",
        source="arXiv:1411.1792",
    )
    register(
        "scratch",
        f"{home}:FromScratch",
        summary="all values random: no transfer",
        source="arXiv:1502.01852",
    )
    register(
        "gradual",
        f"{parts}:GradualUnfreezing",
        summary="head first, then the stages from the head on, thawed group by group",
        source="arXiv:1801.06146",
    )
    register(
        "surgical",
        f"{parts}:Surgical",
        summary="only the first, middle or last stages, and the head",
        source="arXiv:2210.11466",
    )
    register(
        "bitfit",
        f"{parts}:BiasOnly",
        summary="only biases, and the head",
        source="arXiv:2106.10199",
    )
    register(
        "norm",
        f"{parts}:NormOnly",
        summary="only scales and shifts of norms, and the head",
        source="arXiv:2003.00152",
    )
    register(
        "lora",
        f"{parts}:LowRankAdapters",
        summary="low-rank adapters on linear layers or convolutions, merged at the end; needs peft",
        source="arXiv:2106.09685",
    )
