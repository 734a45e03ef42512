"""The hooks that a plugin may implement: one for each kind of component.

Each hook is called once when plugins are loaded, for one plugin at a time, by every command. A hook body must be
quick and import nothing heavy (torch, timm, numpy): it only says what there is, as lazy `module:attr` targets.

    from zoo.hookspecs import hookimpl

    @hookimpl
    def register_optimizers(register):
        register("lion", "zoo_lion.optimizer:Lion", summary="Sign of the momentum", source="arXiv:2302.06675", lr=1e-4)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from zoo.plugins import Register
    from zoo.registering import RegisterDefault, RegisterWrapper

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@hookspec
def register_datasets(register: Register) -> None:
    """Offers ways to find images and labels.

    Built: an object that satisfies `zoo.contracts.data.DataSource`; once a run, on the main process of each rank.
    Forbidden: changing or copying the user's files, and the network unless the name says so.
    """


@hookspec
def register_augmentations(register: Register) -> None:
    """Offers changes of training images.

    Built: an object that satisfies `zoo.contracts.training.Augmentation`: uint8[H, W, C] and a numpy `Generator` in,
    uint8[H', W', C] out; one for each loader thread. Forbidden: any draw that does not come from the generator.
    """


@hookspec
def register_models(register: Register) -> None:
    """Offers networks.

    Built: a `zoo.contracts.model.Model` with random values, on the CPU, from `classes`, `channels` and `image_size`
    (pixels, or None for the network's own). Forbidden: reading weights.
    """


@hookspec
def register_weights(register: Register) -> None:
    """Offers places where pretrained values are found.

    Built: an object that satisfies `zoo.contracts.model.WeightsSource`. The fact `rank` orders the places: they are
    asked in rising order until one answers. Forbidden: unpickling; the network when `allow_network` is false.
    """


@hookspec
def register_heads(register: Register) -> None:
    """Offers last layers.

    Built: a module that maps float[B, features] to logits float[B, classes].
    """


@hookspec
def register_regularizers(register: Register) -> None:
    """Offers ways to hold the fit back.

    Built: an object with any of the methods of `zoo.contracts.training.Regularizer`; the loop calls what it has.
    """


@hookspec
def register_optimizers(register: Register) -> None:
    """Offers optimizers.

    Built: a `torch.optim.Optimizer` over parameter groups `params`, each with its own `lr`. The fact `lr` is the
    rate that suits fine-tuning a whole network at batch 32; it is what `optimizer.lr=auto` starts from.
    """


@hookspec
def register_schedules(register: Register) -> None:
    """Offers learning-rate schedules.

    Built: an object that satisfies `zoo.contracts.training.Schedule`: progress in [0, 1] to a factor on the rate.
    """


@hookspec
def register_losses(register: Register) -> None:
    """Offers losses.

    Built: a module that maps logits float[B, classes] and targets (int64[B] or float32[B, classes]) to one loss an
    image, float[B]. Facts: `tasks`, the tasks it serves, and `soft_targets`, whether float targets are taken.
    """


@hookspec
def register_strategies(register: Register) -> None:
    """Offers strategies: what is trained, when, and how fast.

    Built: an object that satisfies `zoo.contracts.training.Strategy`; `plan` must be pure.
    """


@hookspec
def register_callbacks(register: Register) -> None:
    """Offers things that are told what happens in a run.

    Built: an object with any of the methods of `zoo.contracts.callbacks.Callback`, on the main process, once a run.
    Forbidden: changing weights, batches or random draws; writing outside the run's folder.
    """


@hookspec
def register_trackers(register: Register) -> None:
    """Offers places where a run's settings, curves and scores are written.

    Built: an object that satisfies `zoo.contracts.tracking.Tracker`, on the main process, once a run. Forbidden: the
    network, unless the name says so; writing outside the run's folder, unless an option names the place.
    """


@hookspec
def register_importers(register: Register) -> None:
    """Offers readers of other frameworks' weight files.

    Built: an object that satisfies `zoo.contracts.importing.Importer`. The fact `suffixes` lists the file endings it
    reads. Forbidden: unpickling, running anything that the file says, and the network.
    """


@hookspec
def register_commands(register: Register) -> None:
    """Offers verbs of the command line.

    Built: nothing; the target is a function `main(argv: list[str]) -> int`, called with the words after the verb.
    It prints results on stdout, everything else on stderr, and raises `zoo.errors.UserError` for bad input.
    The fact `usage` is its one-line usage.
    """


@hookspec
def register_config_dirs(register: Callable[[str], None]) -> None:
    """Offers folders of Hydra YAML inside a package: `register("my_pkg.conf")`.

    The folder must be a package (hold an `__init__.py`). It is appended to the search path, so it can add options
    and experiments but never replaces one of zoo's own.
    """


@hookspec
def register_wrappers(register: RegisterWrapper) -> None:
    """Puts something around components that another plugin offers.

    `register("optimizer", "torch/sgd", "my_pkg.wrapping:wrap", summary="Looks ahead every six steps")`; `"*"` instead
    of the full name means every component of the kind. Built: nothing; the target is a function
    `wrap(component, *, name)`, called each time such a component is built, with what was built and its full name. It
    returns a component that honours the contract of the kind. Of several wrappers the innermost is that of the
    distribution whose name comes first, then that of the plugin, then the one registered first; `zoo plugins show`
    lists them so. A run names those that act in it and records them: it can only be resumed with the same ones.
    """


@hookspec
def register_config_defaults(register: RegisterDefault) -> None:
    """Says what values of the configuration should be where the user says nothing.

    `register("train.batch_size", 64, reason="...")`, or `register("optimizer", "lion", reason="...")` for a choice. A
    key must be there whatever is chosen: those of `train` and `run`, `weights`, the choices, and the options that every
    component of a kind has (`optimizer.lr`). The user's files and the command line go before it; it goes before zoo's
    own default. A run prints each that acts. Two plugins that differ over one key are an error until the user says
    which.
    """
