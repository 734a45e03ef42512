"""Offers readers of other frameworks' weight files, for `zoo convert`."""

from __future__ import annotations

from zoo.hookspecs import hookimpl
from zoo.plugins import Register


@hookimpl
def register_importers(register: Register) -> None:
    """One reader a framework."""
    register(
        "keras",
        "zoo_plugins.foreign.keras_importer:KerasImporter",
        summary="Keras models and weights (.keras, .h5, .weights.h5)",
        source="https://keras.io/guides/serialization_and_saving/",
        suffixes=(".keras", ".h5", ".weights.h5", ".hdf5"),
    )
    register(
        "onnx",
        "zoo_plugins.foreign.onnx_importer:OnnxImporter",
        summary="ONNX graphs (.onnx)",
        source="https://onnx.ai/onnx/repo-docs/IR.html",
        suffixes=(".onnx",),
    )
    register(
        "caffe",
        "zoo_plugins.foreign.caffe_importer:CaffeImporter",
        summary="Caffe's weights (.caffemodel), with definition=FILE.prototxt or without",
        source="arXiv:1408.5093",
        suffixes=(".caffemodel",),
    )
    register(
        "caffe2",
        "zoo_plugins.foreign.caffe2_importer:Caffe2Importer",
        summary="Caffe2's weights (init_net.pb), with definition=predict_net.pb or without",
        source="https://caffe2.ai/docs/operators-catalogue.html",
        suffixes=(".pb",),
    )
    register(
        "torch7",
        "zoo_plugins.foreign.torch7_importer:Torch7Importer",
        summary="Torch7's networks of nn and cudnn modules (.t7)",
        source="https://github.com/torch/torch7",
        suffixes=(".t7",),
    )
    register(
        "lasagne",
        "zoo_plugins.foreign.lasagne_importer:LasagneImporter",
        summary="lists of arrays of Theano and Lasagne (.npz)",
        source="https://lasagne.readthedocs.io/en/latest/modules/layers/helper.html",
        suffixes=(".npz",),
        sample="zoo_plugins.foreign.samples:lasagne",
    )
    register(
        "pytorch",
        "zoo_plugins.foreign.pytorch_importer:PyTorchImporter",
        summary="state dicts of PyTorch networks under other names (.pth, .safetensors...)",
        source="https://pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.state_dict",
        suffixes=(".pth", ".pt", ".bin", ".tar", ".ckpt", ".th", ".torch", ".pyth", ".safetensors"),
        sample="zoo_plugins.foreign.samples:pytorch",
    )
