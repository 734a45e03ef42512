"""The verbs of the command line."""

from __future__ import annotations

from zoo.hookspecs import hookimpl
from zoo.plugins import Register


@hookimpl
def register_commands(register: Register) -> None:
    """One verb a file in zoo/verbs."""
    _register_computing(register)
    register(
        "models",
        "zoo.verbs.models:main",
        summary="list networks and say where their weights come from",
        usage="models [PATTERN] [--json] | models classic | models show NAME",
    )
    register(
        "data",
        "zoo.verbs.data:main",
        summary="check a data set before training on it",
        usage="data check PATH [data.KEY=VALUE ...] [--json]",
    )
    register(
        "explain",
        "zoo.verbs.explain:main",
        summary="show every value of a configuration, and where it came from",
        usage="explain config [key=value ...] | explain config run=DIR [--json]",
    )
    register(
        "plugins",
        "zoo.verbs.plugins:main",
        summary="list plugins, what they offer, and which failed",
        usage="plugins [--files] [--json] | plugins show NAME | plugins disable NAME ... | plugins enable NAME ... | "
        "plugins new NAME --kind KIND [DIR] | plugins check NAME|PATH",
    )
    register(
        "completion",
        "zoo.verbs.completion:main",
        summary="print what makes the tab key complete zoo's words in a shell",
        usage="completion bash|zsh|fish",
    )


def _register_computing(register: Register) -> None:
    """The verbs that train or run networks: `computes` gives them memory that is kept."""
    register(
        "finetune",
        "zoo.verbs.finetune:main",
        summary="fine-tune a network on your images",
        usage="finetune [model=NAME] [data=PATH] [group=option] [key=value] [-m] [--json] [--cfg job]",
        computes=True,
    )
    register(
        "preview",
        "zoo.verbs.preview:main",
        summary="see what training makes of your images, and whether that changes their classes",
        usage="preview data=PATH 'augmentations=[...]' [output=FILE.png] [images=N] [draws=M] [check=yes] [key=value] "
        "[--json]",
        computes=True,
    )
    register(
        "evaluate",
        "zoo.verbs.evaluate:main",
        summary="score a run on its own test images or on others",
        usage="evaluate run=DIR [data=PATH] [split=test] [out=DIR] [--json]",
        computes=True,
    )
    register(
        "predict",
        "zoo.verbs.predict:main",
        summary="classify images with a run, or with a pretrained network as it is",
        usage="predict run=DIR|model=NAME images=PATH [output=FILE.csv|.json|.parquet] [top=5]",
        computes=True,
    )
    register(
        "recommend",
        "zoo.verbs.recommend:main",
        summary="find the pretrained network that suits your images",
        usage="recommend data=PATH [models=[a,b*]] [budget=5m] [max_params=20M] [max_ms=10] [out=DIR] [--json]",
        computes=True,
    )
    register(
        "convert",
        "zoo.verbs.convert:main",
        summary="take over weights of another framework, with a measured proof",
        usage="convert source=FILE model=NAME out=DIR [reference=FILE.npz] [preprocess=NAME] [classes=FILE] [--json]",
        computes=True,
    )
    register(
        "lesson",
        "zoo_plugins.lessons.command:main",
        summary="run one of the textbook's tables and compare it with the published figures",
        usage="lesson NAME [seeds=N] [out=DIR] [--json] [key=value]",
        computes=True,
    )
    register(
        "publish",
        "zoo.verbs.publish:main",
        summary="add a model with its card, hashes and scores to a zoo of your own",
        usage="publish run=DIR to=FOLDER|hf:ORG/NAME [name=NAME] [description=TEXT] [license=NAME]",
        computes=True,
    )
