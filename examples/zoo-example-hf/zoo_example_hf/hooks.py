"""What this plugin offers to zoo: three kinds of component. Every command reads it, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register


@hookimpl
def register_datasets(register: Register) -> None:
    """One data set for all of the hub: zoo takes `data=hf:NAME` for `data=hf data.path=NAME`.

    The fact `example` says with which options zoo's checks (`zoo plugins check`) may try it: it has one that is needed.
    """
    register(
        "hf",
        "zoo_example_hf.dataset:HubDataset",
        summary="Image data sets of the Hugging Face hub, or of a folder in one of its forms",
        source="https://huggingface.co/docs/datasets/loading",
        example="zoo_example_hf.example:saved_data_set",
    )


@hookimpl
def register_models(register: Register) -> None:
    """A provider: the hub has too many networks to register one by one, so names are answered when they are asked for.

    It alone is asked for addresses `hf_vision:...`.
    """
    register.provider(
        "zoo_example_hf.provider:HubModels",
        summary="image networks of transformers: hf_vision:ORG/NAME, hf_vision:./FOLDER, and what is cached",
        schemes=("hf_vision",),
    )


@hookimpl
def register_weights(register: Register) -> None:
    """Weights of networks that were named by a folder; those of the hub are found by zoo's own `hf-cache` and `hub`.

    The fact `rank` puts it before these: what lies beside the network's description is meant.
    """
    register(
        "hf-folder",
        "zoo_example_hf.weights:FolderWeights",
        summary="model.safetensors beside the config.json that hf_vision:./FOLDER names",
        source="https://huggingface.co/docs/transformers/main_classes/model#transformers.PreTrainedModel.save_pretrained",
        rank=15,
    )
