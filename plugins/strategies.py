"""Strategies: what is trained, when, and how fast."""

from __future__ import annotations

from zoo.hookspecs import hookimpl
from zoo.plugins import Register

WHOLE, PARTS = "zoo_plugins.strategy_plans", "zoo_plugins.strategy_parts"

STRATEGIES = (
    ("auto", "zoo_plugins.strategy_auto:Auto", "chooses by images per class and their size, and prints its rule",
     "zoo: benchmarks/strategies.md"),
    ("probe", f"{WHOLE}:LinearProbe", "frozen backbone, features computed once, head fitted on them",
     "arXiv:1805.08974"),
    ("lpft", f"{WHOLE}:ProbeThenFineTune", "probe, then the whole network with smaller rates for earlier layers",
     "arXiv:2202.10054"),
    ("full", f"{WHOLE}:FullFineTune", "the whole network from the start, with a fresh head", "arXiv:1411.1792"),
    ("scratch", f"{WHOLE}:FromScratch", "all values random: no transfer", "arXiv:1502.01852"),
    ("gradual", f"{PARTS}:GradualUnfreezing", "head first, then the stages from the head on, thawed group by group",
     "arXiv:1801.06146"),
    ("surgical", f"{PARTS}:Surgical", "only the first, middle or last stages, and the head", "arXiv:2210.11466"),
    ("bitfit", f"{PARTS}:BiasOnly", "only biases, and the head", "arXiv:2106.10199"),
    ("norm", f"{PARTS}:NormOnly", "only scales and shifts of norms, and the head", "arXiv:2003.00152"),
    ("lora", f"{PARTS}:LowRankAdapters", "low-rank adapters on linear layers or convolutions, merged later; needs peft",
     "arXiv:2106.09685"),
)  # fmt: skip
"""Name, target, summary and source of each."""


@hookimpl
def register_strategies(register: Register) -> None:
    """`auto` chooses among the others by what the data offer."""
    for name, target, summary, source in STRATEGIES:
        register(name, target, summary=summary, source=source)
