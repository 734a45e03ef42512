"""The part of Caffe's caffe.proto that its weights need, with the original field numbers.

Source: https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto
"""

from __future__ import annotations

from zoo_plugins.foreign.protobuf_wire import Schema

V1_TYPES = {
    "NONE": 0, "ACCURACY": 1, "BNLL": 2, "CONCAT": 3, "CONVOLUTION": 4, "DATA": 5, "DROPOUT": 6, "EUCLIDEAN_LOSS": 7,
    "FLATTEN": 8, "HDF5_DATA": 9, "HDF5_OUTPUT": 10, "IM2COL": 11, "IMAGE_DATA": 12, "INFOGAIN_LOSS": 13,
    "INNER_PRODUCT": 14, "LRN": 15, "MULTINOMIAL_LOGISTIC_LOSS": 16, "POOLING": 17, "RELU": 18, "SIGMOID": 19,
    "SOFTMAX": 20, "SOFTMAX_LOSS": 21, "SPLIT": 22, "TANH": 23, "WINDOW_DATA": 24, "ELTWISE": 25, "POWER": 26,
    "SIGMOID_CROSS_ENTROPY_LOSS": 27, "HINGE_LOSS": 28, "MEMORY_DATA": 29, "ARGMAX": 30, "THRESHOLD": 31,
    "DUMMY_DATA": 32, "SLICE": 33, "MVN": 34, "ABSVAL": 35, "SILENCE": 36, "CONTRASTIVE_LOSS": 37, "EXP": 38,
    "DECONVOLUTION": 39,
}  # fmt: skip
"""Layer types as `layers` (the older of the two forms, V1) numbers them."""

_INPUTS = {2: ("scale", "float"), 3: ("mean_file", "text"), 5: ("crop_size", "int")}

SCHEMA = Schema(
    messages={
        "NetParameter": {
            1: ("name", "text"),
            2: ("layers", "V1LayerParameter"),
            3: ("input", "text"),
            4: ("input_dim", "int"),
            8: ("input_shape", "BlobShape"),
            100: ("layer", "LayerParameter"),
        },
        "BlobShape": {1: ("dim", "int")},
        "BlobProto": {
            1: ("num", "int"),
            2: ("channels", "int"),
            3: ("height", "int"),
            4: ("width", "int"),
            5: ("data", "float"),
            7: ("shape", "BlobShape"),
            8: ("double_data", "double"),
        },
        "LayerParameter": {
            1: ("name", "text"),
            2: ("type", "text"),
            3: ("bottom", "text"),
            4: ("top", "text"),
            7: ("blobs", "BlobProto"),
            8: ("include", "NetStateRule"),
            9: ("exclude", "NetStateRule"),
            100: ("transform_param", "TransformationParameter"),
            106: ("convolution_param", "ConvolutionParameter"),
            107: ("data_param", "DataParameter"),
            115: ("image_data_param", "DataParameter"),
            117: ("inner_product_param", "InnerProductParameter"),
            119: ("memory_data_param", "MemoryDataParameter"),
            121: ("pooling_param", "PoolingParameter"),
            139: ("batch_norm_param", "BatchNormParameter"),
            142: ("scale_param", "ScaleParameter"),
            143: ("input_param", "InputParameter"),
        },
        "V1LayerParameter": {
            1: ("layer", "V0LayerParameter"),
            2: ("bottom", "text"),
            3: ("top", "text"),
            4: ("name", "text"),
            5: ("type", "LayerType"),
            6: ("blobs", "BlobProto"),
            10: ("convolution_param", "ConvolutionParameter"),
            11: ("data_param", "DataParameter"),
            15: ("image_data_param", "DataParameter"),
            17: ("inner_product_param", "InnerProductParameter"),
            19: ("pooling_param", "PoolingParameter"),
            22: ("memory_data_param", "MemoryDataParameter"),
            32: ("include", "NetStateRule"),
            33: ("exclude", "NetStateRule"),
            36: ("transform_param", "TransformationParameter"),
        },
        "V0LayerParameter": {1: ("name", "text")},
        "NetStateRule": {
            1: ("phase", "Phase"),
            2: ("min_level", "int"),
            3: ("max_level", "int"),
            4: ("stage", "text"),
            5: ("not_stage", "text"),
        },
        "TransformationParameter": {
            1: ("scale", "float"),
            3: ("crop_size", "int"),
            4: ("mean_file", "text"),
            5: ("mean_value", "float"),
        },
        "DataParameter": _INPUTS,
        "MemoryDataParameter": {2: ("channels", "int"), 3: ("height", "int"), 4: ("width", "int")},
        "InputParameter": {1: ("shape", "BlobShape")},
        "ConvolutionParameter": {
            3: ("pad", "int"),
            4: ("kernel_size", "int"),
            5: ("group", "int"),
            6: ("stride", "int"),
            9: ("pad_h", "int"),
            10: ("pad_w", "int"),
            13: ("stride_h", "int"),
            14: ("stride_w", "int"),
            16: ("axis", "int"),
            18: ("dilation", "int"),
        },
        "PoolingParameter": {
            1: ("pool", "PoolMethod"),
            2: ("kernel_size", "int"),
            3: ("stride", "int"),
            4: ("pad", "int"),
            5: ("kernel_h", "int"),
            6: ("kernel_w", "int"),
            7: ("stride_h", "int"),
            8: ("stride_w", "int"),
            9: ("pad_h", "int"),
            10: ("pad_w", "int"),
            12: ("global_pooling", "bool"),
        },
        "InnerProductParameter": {5: ("axis", "int"), 6: ("transpose", "bool")},
        "BatchNormParameter": {1: ("use_global_stats", "bool"), 3: ("eps", "float")},
        "ScaleParameter": {1: ("axis", "int"), 2: ("num_axes", "int")},
    },
    enums={
        "LayerType": V1_TYPES,
        "Phase": {"TRAIN": 0, "TEST": 1},
        "PoolMethod": {"MAX": 0, "AVE": 1, "STOCHASTIC": 2},
    },
)
