"""Sources of plugins for what takes part in training, good ones and deliberately broken ones."""

from __future__ import annotations

from dataclasses import dataclass, field

GOOD_HEAD = """
import torch
from torch import nn
class Thing(nn.Module):
    def __init__(self, *, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)
    def forward(self, x):
        return self.linear(x)
"""
GOOD_LOSS = """
import torch
from torch import nn
class Thing(nn.Module):
    def forward(self, logits, targets):
        return nn.functional.cross_entropy(logits, targets, reduction="none")
"""
LOSS = 'tasks=("single_label",), soft_targets=True'
GOOD_OPTIMIZER = """
import torch
class Thing(torch.optim.Optimizer):
    def __init__(self, params, *, lr: float) -> None:
        super().__init__(params, {"lr": lr})
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                state["mean"] = state.get("mean", torch.zeros_like(p)) * 0.9 + p.grad
                p -= group["lr"] * state["mean"]
"""
OPTIMIZER = "lr=0.01"
GOOD_REGULARIZER = """
import torch
class Thing:
    def penalty(self, model):
        return 1e-3 * sum(p.square().sum() for p in model.module.parameters())
"""
GOOD_BATCH = """
import torch
from dataclasses import replace
class Thing:
    def change_batch(self, batch, generator, classes):
        noise = torch.randn(batch.images.shape, generator=generator)
        return replace(batch, images=batch.images + 0.1 * noise)
"""
GOOD_AVERAGE = """
import contextlib
import torch
class Thing:
    def change_model(self, model):
        self.mean = {n: p.detach().clone() for n, p in model.module.named_parameters()}
    def after_step(self, model, moment):
        for n, p in model.module.named_parameters():
            self.mean[n].lerp_(p.detach(), 0.3)
    @contextlib.contextmanager
    def swapped_in(self, model):
        with torch.no_grad():
            own = {n: p.clone() for n, p in model.module.named_parameters()}
            for n, p in model.module.named_parameters():
                p.copy_(self.mean[n])
            yield
            for n, p in model.module.named_parameters():
                p.copy_(own[n])
    def state_dict(self):
        return dict(self.mean)
    def load_state_dict(self, state):
        self.mean = {n: v.clone() for n, v in state.items()}
"""
GOOD_CALLBACK = """
from zoo.contracts.callbacks import Section
class Thing:
    def __init__(self) -> None:
        self.losses = []
    def on_batch(self, event):
        self.brightest = float(event.batch.images.max())
    def on_validation_end(self, event):
        self.losses.append(event.row["val_loss"])
    def on_report(self, event):
        return Section("Losses", str(self.losses))
    def state_dict(self):
        return {"losses": self.losses}
    def load_state_dict(self, state):
        self.losses = list(state["losses"])
"""
GOOD_SCHEDULE = """
class Thing:
    def __init__(self) -> None:
        self.factor = 1.0
    def __call__(self, progress: float) -> float:
        return self.factor * (1 - 0.5 * progress)
    def observe(self, loss: float) -> None:
        self.factor *= 0.5
    def state_dict(self):
        return {"factor": self.factor}
    def load_state_dict(self, state):
        self.factor = state["factor"]
"""
GOOD_MODEL = """
import torch
from torch import nn
from zoo.contracts.model import Model, ModelSpec
from zoo.imaging.preprocess import Preprocess
from zoo.models.build import stages_from
class Net(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, 6, 3, stride=2)
        self.norm = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, classes)
    def forward(self, x):
        return self.fc(torch.relu(self.norm(self.conv(x))).mean((2, 3)))
def Thing(*, classes: int, channels: int, image_size: int | None) -> Model:
    net = Net(classes, channels)
    stages = stages_from([("stem", n) for n, _ in net.named_parameters() if not n.startswith("fc")])
    wanted = Preprocess(image_size or 32, (0.5,) * channels, (0.5,) * channels)
    return Model(net, ModelSpec("acme/thing", "acme", "thing", "fc", 6, stages, wanted))
"""
MODEL = 'library="acme", input_px=32'

GOOD = {
    "head": (GOOD_HEAD, ""),
    "loss": (GOOD_LOSS, LOSS),
    "optimizer": (GOOD_OPTIMIZER, OPTIMIZER),
    "regularizer": (GOOD_REGULARIZER, ""),
    "regularizer-batch": (GOOD_BATCH, ""),
    "regularizer-average": (GOOD_AVERAGE, ""),
    "callback": (GOOD_CALLBACK, ""),
    "schedule": (GOOD_SCHEDULE, ""),
    "model": (GOOD_MODEL, MODEL),
}
"""Kind (and which of several) to source and facts."""


@dataclass(frozen=True)
class Broken:
    """A plugin with one fault.

    Attributes:
        property: Which property finds it.
        says: What the failure says of it.
        also: Other properties that find it as well, because they are about the same.
    """

    property: str
    kind: str
    source: str
    says: str
    details: str = ""
    also: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        return f"{self.property}-{self.kind}-{self.says.replace(' ', '_')[:30]}"


def changed(source: str, old: str, new: str) -> str:
    if old not in source:
        raise ValueError(f"{old!r} is not in the source")
    return source.replace(old, new)


CONDUCT = ("no_network", "no_writes", "no_prints")
"""What is looked at while a component does its work: one that crashes in it fails these too."""

BROKEN = [
    Broken("builds", "callback", changed(GOOD_CALLBACK, "on_batch", "on_batch_end"), "there is no such event"),
    Broken(
        "builds",
        "loss",
        changed(GOOD_LOSS, "    def forward", "    scale = nn.Parameter(torch.ones(1))\n    def forward").replace(
            "    scale = nn.Parameter(torch.ones(1))\n",
            "    def __init__(self):\n        super().__init__()\n        self.scale = nn.Parameter(torch.ones(1))\n",
        ),
        "it has parameters (scale)",
        LOSS,
    ),
    Broken(
        "builds",
        "model",
        changed(GOOD_MODEL, 'not n.startswith("fc")', 'n.startswith("conv")'),
        "in no stage: ['norm.bias', 'norm.weight']",
        MODEL,
        frozenset({"state", "processes", "bf16", "gradients", *CONDUCT}),
    ),
    Broken(
        "repeatable",
        "optimizer",
        changed(
            GOOD_OPTIMIZER,
            'group["lr"] * state["mean"]',
            'group["lr"] * state["mean"] * __import__("random").uniform(0.9, 1.1)',
        ),
        "of the same seed differ",
        OPTIMIZER,
        frozenset({"state", "processes"}),
    ),
    Broken(
        "repeatable",
        "regularizer",
        changed(GOOD_BATCH, "generator=generator", "generator=torch.Generator()").replace(
            "noise = ", "noise = __import__('random').random() * "
        ),
        "of the same seed differ",
        "",
        frozenset({"distinct", "state", "processes"}),
    ),
    Broken(
        "repeatable",
        "head",
        changed(
            GOOD_HEAD,
            "nn.Linear(features, classes)",
            "nn.Linear(features, classes)\n        self.linear.bias.data += __import__('random').random()",
        ),
        "gives two values of linear.bias",
        "",
        frozenset({"state", "processes"}),
    ),
    Broken(
        "distinct",
        "regularizer",
        changed(GOOD_BATCH, "generator=generator", "generator=torch.Generator().manual_seed(0)"),
        "never draws from the generator that it is passed",
    ),
    Broken(
        "distinct",
        "model",
        changed(GOOD_MODEL, "net = Net(classes, channels)", "torch.manual_seed(0)\n    net = Net(classes, channels)"),
        "two seeds give the same values",
        MODEL,
    ),
    Broken(
        "shapes",
        "head",
        changed(GOOD_HEAD, "return self.linear(x)", "return self.linear(x).softmax(1)"),
        "like probabilities",
    ),
    Broken(
        "shapes",
        "loss",
        changed(GOOD_LOSS, ', reduction="none"', ""),
        "torch.float32[] for 12 images",
        LOSS,
        frozenset({"gradients", "bf16", "processes", "repeatable"}),
    ),
    Broken(
        "shapes",
        "loss",
        changed(GOOD_LOSS, 'reduction="none")', 'reduction="none") / logits.std()'),
        "depends on the others of its batch",
        LOSS,
        frozenset({"gradients"}),
    ),
    Broken(
        "shapes",
        "optimizer",
        changed(
            GOOD_OPTIMIZER,
            "if p.grad is None:\n                    continue",
            "if p.grad is None:\n                    p.add_(1e-4)\n                    continue",
        ),
        "moved a parameter that had no gradient",
        OPTIMIZER,
    ),
    Broken(
        "shapes",
        "regularizer",
        changed(GOOD_REGULARIZER, "p.square().sum()", "p.square().sum().detach()"),
        "its penalty has no gradient",
        "",
        frozenset({"gradients", "acts"}),
    ),
    Broken(
        "shapes",
        "regularizer",
        changed(
            GOOD_AVERAGE,
            "    def change_model(self, model):\n",
            "    def change_model(self, model):\n        model.module.register_forward_hook(lambda *a: None)\n",
        ),
        "after restore_model the network is not what it was",
    ),
    Broken(
        "shapes",
        "callback",
        changed(GOOD_CALLBACK, "self.losses.append(", "return self.losses.append(").replace(
            'event.row["val_loss"])', 'event.row["val_loss"]) or "stop"'
        ),
        "answers 'stop' to on_validation_end",
        "",
        frozenset({"inputs", "state", *CONDUCT}),
    ),
    Broken("shapes", "model", changed(GOOD_MODEL, '"fc", 6,', '"fc", 7,'), "spec.feature_dim is 7", MODEL),
    Broken(
        "inputs",
        "callback",
        changed(GOOD_CALLBACK, "float(event.batch.images.max())", "event.batch.images.mul_(0.5)"),
        "changed the batch of step 0",
    ),
    Broken(
        "inputs",
        "loss",
        changed(
            GOOD_LOSS, "return nn", "logits = logits.detach().clamp_(-1, 1) * 0 + logits\n        return nn"
        ).replace("logits.detach().clamp_(-1, 1) * 0", "logits.detach().add_(1.0) * 0"),
        "changes the logits",
        LOSS,
        frozenset({"shapes"}),
    ),
    Broken(
        "inputs",
        "head",
        changed(GOOD_HEAD, "return self", "x.detach().mul_(0.5)\n        return self"),
        "changes the features",
        "",
        frozenset({"repeatable"}),
    ),
    Broken(
        "inputs",
        "model",
        changed(GOOD_MODEL, "return self.fc", "x.detach().mul_(0.5)\n        return self.fc"),
        "changes the images",
        MODEL,
        frozenset({"shapes"}),
    ),
    Broken(
        "inputs",
        "regularizer",
        changed(
            GOOD_BATCH,
            "return replace(batch, images=batch.images + 0.1 * noise)",
            "batch.images.add_(0.1 * noise)\n        return batch",
        ),
        "in place",
    ),
    Broken(
        "gradients",
        "head",
        changed(GOOD_HEAD, "self.linear(x)", "self.linear(x / x.square().sum(1, True).sqrt())"),
        "not finite for features of size 0",
    ),
    Broken(
        "gradients",
        "optimizer",
        changed(GOOD_OPTIMIZER, 'state["mean"]\n', 'state["mean"] / state["mean"].norm()\n'),
        "gradients of 0 the weights are not finite",
        OPTIMIZER,
    ),
    Broken(
        "gradients",
        "loss",
        changed(
            GOOD_LOSS, 'reduction="none")', 'reduction="none") + 0 * logits.softmax(1).amin(1).sqrt().clamp_min(0)'
        ),
        "the gradient is not finite",
        LOSS,
    ),
    Broken(
        "gradients",
        "regularizer",
        changed(
            GOOD_REGULARIZER,
            "p.square().sum() for p in model.module.parameters()",
            "p.square().sum().sqrt() for p in model.module.parameters() if p.ndim > 1",
        ),
        "at weights of 0 the gradient of its penalty",
    ),
    Broken(
        "gradients",
        "model",
        changed(
            GOOD_MODEL,
            "self.norm = nn.BatchNorm2d(6)",
            "self.norm = nn.BatchNorm2d(6)\n        self.unused = nn.Parameter(torch.ones(3))",
        ),
        "unused gets no gradient",
        MODEL,
        frozenset({"processes"}),
    ),
    Broken(
        "state",
        "optimizer",
        changed(
            GOOD_OPTIMIZER,
            "state = self.state[p]",
            "state = self.__dict__.setdefault('kept', {}).setdefault(id(p), {})",
        ),
        "differs from one that was not",
        OPTIMIZER,
    ),
    Broken(
        "state",
        "regularizer",
        changed(GOOD_AVERAGE, "return dict(self.mean)", "return {}").replace(
            "self.mean = {n: v.clone() for n, v in state.items()}", "pass"
        ),
        "differs from one that was not",
    ),
    Broken(
        "state",
        "schedule",
        changed(GOOD_SCHEDULE, 'self.factor = state["factor"]', "pass"),
        "resumed after step 4, the learning rates are",
    ),
    Broken(
        "state",
        "callback",
        changed(GOOD_CALLBACK, 'self.losses = list(state["losses"])', "pass"),
        "resumed at its checkpoint, it ends with the state",
    ),
    Broken("state", "callback", GOOD_CALLBACK.partition("    def state_dict")[0], "it remembers what it does not save"),
    Broken(
        "bf16",
        "head",
        changed(
            GOOD_HEAD,
            "return self.linear(x)",
            "halves = torch.zeros(len(x), x.shape[1] // 2)\n"
            "        places = torch.arange(x.shape[1]).repeat(len(x), 1) // 2\n"
            "        return self.linear(halves.scatter_add(1, places, x))",
        ).replace("nn.Linear(features,", "nn.Linear(features // 2,"),
        "under bf16 autocast it crashed",
    ),
    Broken(
        "processes",
        "optimizer",
        changed(
            GOOD_OPTIMIZER, 'group["lr"] * state["mean"]', 'group["lr"] * (state["mean"] + 0.01 * torch.randn(p.shape))'
        ),
        "parameters differ",
        OPTIMIZER,
    ),
    Broken("acts", "optimizer", changed(GOOD_OPTIMIZER, "p -= ", "p += "), "does not lower the loss", OPTIMIZER),
    Broken("acts", "regularizer", changed(GOOD_REGULARIZER, "1e-3 *", "0.0 *"), "end with the same weights"),
    Broken("acts", "loss", changed(GOOD_LOSS, "return nn", "return -nn"), "right answers cost", LOSS),
    Broken(
        "acts",
        "head",
        changed(GOOD_HEAD, "self.linear(x)", "self.linear(x.mean() + torch.zeros_like(x))"),
        "still get the same logits",
    ),
    Broken(
        "acts",
        "model",
        changed(GOOD_MODEL, ".mean((2, 3))", ".mean((0, 2, 3)).expand(len(x), 6)"),
        "get the same logits",
        MODEL,
        frozenset({"shapes"}),
    ),
]
