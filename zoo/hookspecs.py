"""The hooks that a plugin may implement: one for each kind of component, and some for what is none.

Each hook is called once when plugins are loaded, for one plugin at a time, by every command, `zoo --help` too. A hook
body must be quick and import nothing heavy (torch, timm, numpy): it only says what there is, as lazy `module:attr`
targets. A plugin whose hook raises is left out whole; the others are not touched.

    from zoo.hookspecs import hookimpl

    @hookimpl
    def register_optimizers(register):
        register("lion", "zoo_lion.optimizer:Lion", summary="Sign of the momentum", source="arXiv:2302.06675", lr=1e-4)

The keyword arguments of a target, less those that the framework supplies, are the options of its component: names,
defaults and types are read off its signature, their meaning off the `Args:` of its docstring.

Two facts go with every kind: `example`, options with which the conformance kit tries a component where the defaults do
not do (docs/conformance.md), and `network=True` for one that is there to use the network.

The docstrings here are the source of docs/hooks (docs/write_hook_pages.py): `Built:`, `Called:`, `Shapes:`,
`Supplied:`, `Facts:` and `Forbidden:` begin a section each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from zoo.plugins import Register
    from zoo.registering import RegisterConfigDir, RegisterDefault, RegisterWrapper

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@hookspec
def register_datasets(register: Register) -> None:
    """Offers ways to find images and labels.

    Built: an object that satisfies `zoo.contracts.data.DataSource`, or `zoo.contracts.data.ArraySource` for numbers
    that no decoder makes.
    Called: built once by each command that opens data, in each process. `samples` comes first. `read` is called, from
    several threads at once, for up to 200 images to learn their sizes and channels, then once for each image while the
    cache is written; with `data.cache=none` whenever an image is needed. A cache that is there is read instead: it is
    found by the plugin's version, the source's own options, `location`, and the key, size and time of each sample, so
    one of these must change where pixels do. A source that keeps files of its own may have an argument `cache_dir`: it
    is told where the user wants caches, or None.
    Shapes: an image is the bytes of a file that Pillow reads, or uint8[H, W, C] of any height and width, C one of 1, 3
    and 4, on the CPU. Numbers are float32[N, C, S, S], finite.
    Facts:
        suffixes: Endings of the paths that it reads, `/` for a folder; for listings.
    Forbidden: changing, moving or copying the user's files; another image in the place of one that cannot be read
    (raise OSError: it is put into quarantine by name); the network, unless the name says so.
    """


@hookspec
def register_augmentations(register: Register) -> None:
    """Offers changes of training images.

    Built: an object that satisfies `zoo.contracts.training.Augmentation`.
    Called: built once for each loader thread of each process, and once before training, to be asked `check` where it
    has that. Called once for each training image of each epoch, after the recipe's crop and mirror, in the order in
    which the user lists augmentations; never for images of validation and test, nor where only a head is fitted on
    features.
    Shapes: uint8[S, S, C] in, contiguous and writable, values 0 to 255, on the CPU; C is 1, 3 or 4, as the data have
    it. uint8[H', W', C] out, of any height and width: it is resized to [S, S]. It may work in place.
    Forbidden: any draw that does not come from the generator that is passed: runs could not be repeated. State that
    goes from one image to the next: which thread gets which image is chance. Another dtype or number of channels.
    """


@hookspec
def register_models(register: Register) -> None:
    """Offers networks.

    Built: a `zoo.contracts.model.Model` with random values, on the CPU.
    Called: built by each command that needs the network, in each process; a second time where the images choose its
    input size, and with the run's own options where a saved model is read. Then one blank image goes through it.
    Its random values are drawn from torch's global generator, which the framework seeds before. `module` is called once
    a step, on the training device.
    Shapes: float32[B, C, S, S], normalised as `spec.preprocess` says, to logits float[B, classes]; under bf16 autocast
    the logits may be bfloat16. What enters the module named by `spec.classifier` is float[B, spec.feature_dim] or
    float[B, spec.feature_dim, 1, 1].
    Supplied:
        classes: Outputs, 1 or more.
        channels: Input channels of the data.
        image_size: Side of the input in pixels; None for the network's own.
    Facts:
        library: Who built it, for listings.
        input_px: Side of its usual input.
        parameters: Number of its values, with the head that `classes` says.
        multiply_adds: Of one image.
        paper: arXiv number or DOI of what introduced it; `title` and `year` go with it.
        records: Published sets of weights, as `zoo.contracts.model.WeightsRecord`.
        classic: Its place in the field's history (`zoo models classic`).
        variant_of: Full names of networks of its shapes that compute otherwise.
    Forbidden: reading weights, which sources do; choosing a device; a parameter outside the head that is in no stage,
    or in two.
    """


@hookspec
def register_weights(register: Register) -> None:
    """Offers places where pretrained values are found.

    Built: an object that satisfies `zoo.contracts.model.WeightsSource`, from no arguments: a setting that it needs
    comes from the environment.
    Called: built whenever pretrained values are looked for, in each process. In rising order of `rank` each is asked
    `places`, then `find`, until one answers; `weights=NAME` asks that one alone. `locate` is asked by listings.
    Shapes: tensors on the CPU, by the network's own names. What does not fit by name and shape goes through the model's
    `convert`, and is refused if it does not fit then.
    Facts:
        rank: Its place in the order; zoo's own have 10 (packages) to 50. Without it, 100.
        copies: Name of another source whose files it keeps: `weights=THAT` asks this one as well.
    Forbidden: unpickling; the network in `locate`, and anywhere when `request.allow_network` is false; values that
    stand in for a set that was named by its tag (`request.named`).
    """


@hookspec
def register_heads(register: Register) -> None:
    """Offers last layers.

    Built: a `torch.nn.Module` on the CPU.
    Called: built once a run in each process, after the pretrained values are in the network, and when a saved model is
    read. Its first values come from torch's global generator, which the framework seeds before. Called once a step, in
    the place of the network's own classifier; where a head alone is fitted, on features of the frozen network.
    Shapes: float[B, features] to logits float[B, classes], on the device of the input; bfloat16 under autocast. Logits
    are any finite numbers; small first ones do not pull at pretrained features.
    Supplied:
        features: Width of what the network feeds it.
        classes: Number of outputs.
    Forbidden: a softmax or sigmoid at the end, which the loss has; parameters that are made in `forward`.
    """


@hookspec
def register_regularizers(register: Register) -> None:
    """Offers ways to hold the fit back.

    Built: an object with any of the methods of `zoo.contracts.training.Regularizer`, at least one. The loop calls what
    it has; what is left out costs nothing.
    Called: built before each phase of gradient descent, in each process; one that has changed the network stays for the
    whole run, unless it keeps an average of weights. `check` comes first; then the methods in the order of a step,
    below.
    Shapes: a batch is images float32[B, C, S, S], normalised, and targets int64[B] or float32[B, classes], on the
    training device. A penalty is a scalar float32 there, with a gradient.
    Forbidden: draws that come from another generator than the one passed (it is on the CPU and the same in all
    processes); renaming or removing parameters; a second one in a run with `look_ahead`, or with `swapped_in`.
    """


@hookspec
def register_optimizers(register: Register) -> None:
    """Offers optimizers.

    Built: a `torch.optim.Optimizer`.
    Called: built before each phase of gradient descent, in each process. `step` is called once a step, without a
    closure, after the gradients were summed over all processes and changed by regularizers; gradients are None again
    after it. The schedule sets `lr` of every group before each step, and `momentum` or the first of `betas` where it
    moves that.
    Shapes: parameters are float32 on the training device, of any shape; so are their gradients. A parameter without a
    gradient is left as it is. What is remembered lies in `self.state` as tensors or numbers: every checkpoint keeps it,
    and `load_state_dict` must bring it back to the bit.
    Supplied:
        params: Parameter groups, each with `name`, `params`, `lr` and `weight_decay`, one or two for each stage of the
            network. Biases and scales are in groups whose `weight_decay` is 0.
    Facts:
        lr: The rate that suits fine-tuning a whole network at batch 32: what `optimizer.lr=auto` starts from. Without
            it the rate is measured.
    Forbidden: an own schedule or warm-up; state outside `self.state`, which a resumed run would lose; a default for
    `lr`, which is always given.
    """


@hookspec
def register_schedules(register: Register) -> None:
    """Offers learning-rate schedules.

    Built: an object that satisfies `zoo.contracts.training.Schedule`, or `zoo.contracts.training.MetricSchedule` where
    it watches validation.
    Called: built before each phase of gradient descent, in each process. Called once a step with the share of the phase
    that is done; a time budget may make that jump ahead. `observe` is called after each validation.
    Shapes: a number in [0, 1] to a factor of 0 or more on every group's rate; 1 is the full rate.
    Forbidden: counting calls, or anything else than `progress` (and what `observe` was told) that the factor depends
    on: a resumed run does not replay steps. An import of torch: nothing here needs it.
    """


@hookspec
def register_losses(register: Register) -> None:
    """Offers losses.

    Built: a `torch.nn.Module`. It may have `check(setting)`, asked with a `zoo.contracts.training.Setting`, and after
    that `balance`, a `zoo.contracts.balance.Balance` or None.
    Called: built before each phase, in each process, and moved to the training device. Called once a step, and for each
    batch of validation.
    Shapes: logits float32[B, classes] (never bfloat16) and targets, int64[B] class numbers or float32[B, classes]
    shares in [0, 1], to one finite loss an image, float32[B], not averaged: the last batch and several processes are
    weighted by the loop.
    Facts:
        tasks: Those that it serves, of `single_label` and `multi_label`.
        soft_targets: Whether float targets are taken in a single-label task (mixup, label smoothing).
        fits_heads: Tasks in which a head on cached features is fitted by it; others fit by cross entropy.
    Forbidden: a mean or sum over images; parameters that are to be learned; ignoring targets of a kind that it says it
    takes.
    """


@hookspec
def register_strategies(register: Register) -> None:
    """Offers strategies: what is trained, when, and how fast.

    Built: an object that satisfies `zoo.contracts.training.Strategy`.
    Called: built once a run in each process. `plan` is asked once, when data and network are known and before anything
    is trained; what it returns is printed and recorded.
    Shapes: a `zoo.contracts.training.Plan` of one phase or more. Stages are numbered from 0 at the input, of
    `len(network.stages)`; shares and decays lie in (0, 1].
    Forbidden: chance, files, time and the network in `plan`: the same facts give the same plan, in every process. An
    option that could have no effect (raise UserError).
    """


@hookspec
def register_callbacks(register: Register) -> None:
    """Offers things that are told what happens in a run.

    Built: an object with any of the methods of `zoo.contracts.callbacks.Callback`, at least one `on_*`.
    Called: built once a run, on the main process alone, before anything is trained. Its methods are called as things
    happen, in the order in which the user lists callbacks; nothing else runs meanwhile, so be quick.
    Shapes: events are frozen dataclasses; a batch is float32[B, C, S, S] on the training device, and is not a copy.
    Facts:
        needs_training: It acts in gradient descent alone, so a run that only fits a head is refused.
    Forbidden: changing weights, batches, gradients or random draws; writing outside the run's folder; keeping a batch
    beyond the call; a method `on_*` that no event has.
    """


@hookspec
def register_trackers(register: Register) -> None:
    """Offers places where a run's settings, curves and scores are written.

    Built: an object that satisfies `zoo.contracts.tracking.Tracker`.
    Called: built once a run, on the main process alone. `start` once before anything is trained, `log` every
    `every_steps` steps and after each validation, `finish` once, also where the run breaks.
    Shapes: values are finite numbers by name; steps are counted over all phases and never fall.
    Forbidden: the network, unless the name says so; writing outside the run's folder, unless an option names the place;
    telemetry of a library that is not switched off.
    """


@hookspec
def register_importers(register: Register) -> None:
    """Offers readers of other frameworks' weight files.

    Built: an object that satisfies `zoo.contracts.importing.Importer`.
    Called: by `zoo convert`. Where no reader is named, each is built without options and asked `reads`, so all options
    have defaults. The one that is chosen is built with the options under `importer.`, and asked `read`, then `forward`.
    Shapes: values are float32 arrays of numpy in PyTorch's layout: a convolution float32[O, I / groups, kH, kW], a
    dense layer float32[O, I], a vector float32[C].
    Facts:
        suffixes: Endings of the files that it reads, for messages.
        sample: `module:function` that writes a small file of the framework into a folder and returns its path, for the
            conformance kit.
    Forbidden: unpickling, running anything that the file says, and the network; guessing what a file does not say.
    """


@hookspec
def register_commands(register: Register) -> None:
    """Offers verbs of the command line.

    Built: nothing; the target is a function `main(argv: list[str]) -> int`.
    Called: once, with the words after the verb, when the user writes the verb; it returns the exit code. It answers
    `-h` and `--help` itself. It prints results on stdout, everything else on stderr, and raises `zoo.errors.UserError`
    for bad input (exit code 2); any other error is the plugin's (exit code 3).
    Facts:
        usage: Its words in one line.
        computes: It trains or runs networks: the process then starts with large pages of memory, on Linux.
    Forbidden: leaving by sys.exit; a name of one of zoo's own verbs, which would be reachable by `zoo PLUGIN/NAME`
    only.
    """


@hookspec
def register_config_dirs(register: RegisterConfigDir) -> None:
    """Offers folders of Hydra YAML inside a package: `register("my_pkg.conf")`.

    Built: nothing. The folder must be a package (hold an `__init__.py`), and its YAML part of the installed files.
    `experiment/NAME.yaml` is chosen by `experiment=NAME`, and `GROUP/NAME.yaml` is an option of that group.
    Called: the folder is appended to Hydra's search path whenever a configuration is composed, behind zoo's own: it
    adds options and experiments, and never replaces one.
    Forbidden: `_target_`; keys that are not there; a value that the user could not have written.
    """


@hookspec
def register_wrappers(register: RegisterWrapper) -> None:
    """Puts something around components that another plugin offers.

    `register("optimizer", "torch/sgd", "my_pkg.wrapping:wrap", summary="Looks ahead every six steps")`; `"*"` instead
    of the full name means every component of the kind.

    Built: nothing; the target is a function `wrap(component, *, name)` that returns a component which honours the
    contract of the kind, as the bare one does.
    Called: each time such a component is built, with what was built and its full name; the target is imported then. Of
    several wrappers the innermost is that of the distribution whose name comes first, then that of the plugin, then the
    one registered first; `zoo plugins show` lists them so. A run names those that act in it and records them: it can
    only be resumed with the same ones.
    Forbidden: options, of which a wrapper has none; returning None; changing what the component is for.
    """


@hookspec
def register_config_defaults(register: RegisterDefault) -> None:
    """Says what values of the configuration should be where the user says nothing.

    `register("train.batch_size", 64, reason="...")`, or `register("optimizer", "lion", reason="...")` for a choice.

    Built: nothing. A key must be there whatever is chosen: those of `train` and `run`, `weights`, the choices, and the
    options that every component of a kind has (`optimizer.lr`).
    Called: whenever a configuration is composed. The user's files and the command line go before it; it goes before
    zoo's own default. A run prints each that acts, `zoo explain config` shows its reason.
    Forbidden: two plugins that differ over one key, which is an error until the user says which.
    """
