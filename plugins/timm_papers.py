"""The papers of timm's families, where one paper without doubt introduced the architecture.

timm names a paper beside weights, but that is mostly the paper of how they were trained.
"""

from __future__ import annotations

import re

from zoo_plugins.papers import (
    CONVNEXT,
    DENSENET,
    EFFICIENTNET,
    EFFICIENTNET_V2,
    INCEPTION_V3,
    INCEPTION_V4,
    MAXVIT,
    MNASNET,
    MOBILENET_V2,
    MOBILENET_V3,
    REGNET,
    RESNET,
    RESNEXT,
    SWIN,
    VGG,
    VIT,
    WIDE_RESNET,
    XCEPTION,
    Paper,
    arxiv,
)

_CLIP = arxiv("2103.00020", "Learning Transferable Visual Models From Natural Language Supervision")
_SIGLIP = arxiv("2303.15343", "Sigmoid Loss for Language Image Pre-Training")
_SE = arxiv("1709.01507", "Squeeze-and-Excitation Networks")
_HIERA = arxiv("2306.00989", "Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles")

PAPERS: tuple[tuple[str, Paper], ...] = (
    (r"resnet\d+", RESNET),
    (
        r"resnet(?:18|26|34|50|101|152|200)[cd]",
        arxiv("1812.01187", "Bag of Tricks for Image Classification with Convolutional Neural Networks"),
    ),
    (r"resnet50_gn", arxiv("1803.08494", "Group Normalization")),
    (r"resnetblur\w+", arxiv("1904.11486", "Making Convolutional Networks Shift-Invariant Again")),
    (r"resnetrs\d+", arxiv("2103.07579", "Revisiting ResNets: Improved Training and Scaling Strategies")),
    (r"resnetv2_\w+_bit", arxiv("1912.11370", "Big Transfer (BiT): General Visual Representation Learning")),
    (r"resnetv2_\d+", arxiv("1603.05027", "Identity Mappings in Deep Residual Networks")),
    (r"resnet\d+(?:x\d+)?_clip\w*", _CLIP),
    (r"resnext\d+_\d+x\d+d", RESNEXT),
    (r"wide_resnet\w+", WIDE_RESNET),
    (r"(?:legacy_)?(?:senet|seresnet|seresnext)\w+", _SE),
    (
        r"ecaresnet\w+",
        arxiv("1910.03151", "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks"),
    ),
    (r"vgg\w+", VGG),
    (r"inception_v3", INCEPTION_V3),
    (r"inception_v4|inception_resnet_v2", INCEPTION_V4),
    (r"legacy_xception", XCEPTION),
    (
        r"xception(?:41|65|71)",
        arxiv("1802.02611", "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation"),
    ),
    (r"densenet(?:121|161|169|201)", DENSENET),
    (r"dla\d+\w*", arxiv("1707.06484", "Deep Layer Aggregation")),
    (r"dpn\d+b?", arxiv("1707.01629", "Dual Path Networks")),
    (r"hrnet_w\w+", arxiv("1908.07919", "Deep High-Resolution Representation Learning for Visual Recognition")),
    (r"res2ne[tx]t?\w+", arxiv("1904.01169", "Res2Net: A New Multi-scale Backbone Architecture")),
    (r"resnest\w+", arxiv("2004.08955", "ResNeSt: Split-Attention Networks")),
    (r"regnet[xy]_\d+", REGNET),
    (r"regnetz_[bcde]\d+", arxiv("2103.06877", "Fast and Accurate Model Scaling")),
    (
        r"csp(?:darknet|resnet|resnext)\w+",
        arxiv("1911.11929", "CSPNet: A New Backbone that can Enhance Learning Capability of CNN"),
    ),
    (r"darknet53", arxiv("1804.02767", "YOLOv3: An Incremental Improvement")),
    (
        r"vovnet\w+",
        arxiv("1904.09730", "An Energy and GPU-Computation Efficient Backbone Network for Object Detection"),
    ),
    (r"ese_vovnet\w+", arxiv("1911.06667", "CenterMask: Real-Time Anchor-Free Instance Segmentation")),
    (r"repvgg_\w+", arxiv("2101.03697", "RepVGG: Making VGG-style ConvNets Great Again")),
    (r"mobileone_\w+", arxiv("2206.04040", "MobileOne: An Improved One millisecond Mobile Backbone")),
    (r"gernet_\w", arxiv("2006.14090", "Neural Architecture Design for GPU-Efficient Networks")),
    (r"gcresnet\w+", arxiv("1904.11492", "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond")),
    (r"botnet\w+", arxiv("2101.11605", "Bottleneck Transformers for Visual Recognition")),
    (r"halonet\w+", arxiv("2103.12731", "Scaling Local Self-Attention for Parameter Efficient Visual Backbones")),
    (r"lambda_resnet\w+", arxiv("2102.08602", "LambdaNetworks: Modeling Long-Range Interactions Without Attention")),
    (r"tresnet_\w+", arxiv("2003.13630", "TResNet: High Performance GPU-Dedicated Architecture")),
    (
        r"(?:dm_)?nfnet_f\d",
        arxiv("2102.06171", "High-Performance Large-Scale Image Recognition Without Normalization"),
    ),
    (
        r"nf_(?:resnet|regnet)\w+",
        arxiv("2101.08692", "Characterizing signal propagation to close the performance gap in unnormalized ResNets"),
    ),
    (r"(?:tf_)?efficientnetv2_\w+", EFFICIENTNET_V2),
    (
        r"(?:tf_)?efficientnet_cc_\w+",
        arxiv("1904.04971", "CondConv: Conditionally Parameterized Convolutions for Efficient Inference"),
    ),
    (r"(?:tf_)?efficientnet_(?:b\d|l2|lite\d)", EFFICIENTNET),
    (
        r"mobilenetv1_\w+",
        arxiv("1704.04861", "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications"),
    ),
    (r"mobilenetv2_\w+", MOBILENET_V2),
    (r"(?:tf_)?mobilenetv3_\w+", MOBILENET_V3),
    (r"mobilenetv4_\w+", arxiv("2404.10518", "MobileNetV4: Universal Models for the Mobile Ecosystem")),
    (r"(?:se)?mnasnet_\w+", MNASNET),
    (
        r"spnasnet_\d+",
        arxiv("1904.02877", "Single-Path NAS: Designing Hardware-Efficient ConvNets in less than 4 Hours"),
    ),
    (
        r"fbnetc_\d+",
        arxiv(
            "1812.03443", "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture Search"
        ),
    ),
    (r"fbnetv3_\w", arxiv("2006.02049", "FBNetV3: Joint Architecture-Recipe Search using Predictor Pretraining")),
    (r"(?:tf_)?mixnet_\w+", arxiv("1907.09595", "MixConv: Mixed Depthwise Convolutional Kernels")),
    (r"lcnet_\d+", arxiv("2109.15099", "PP-LCNet: A Lightweight CPU Convolutional Neural Network")),
    (
        r"tinynet_\w",
        arxiv("2010.14819", "Model Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets"),
    ),
    (r"ghostnet_\d+", arxiv("1911.11907", "GhostNet: More Features from Cheap Operations")),
    (r"ghostnetv2_\d+", arxiv("2211.12905", "GhostNetV2: Enhance Cheap Operation with Long-Range Attention")),
    (r"ghostnetv3_\d+", arxiv("2404.11202", "GhostNetV3: Exploring the Training Strategies for Compact Models")),
    (
        r"mobilevit_\w+",
        arxiv("2110.02178", "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision Transformer"),
    ),
    (r"mobilevitv2_\d+", arxiv("2206.02680", "Separable Self-attention for Mobile Vision Transformers")),
    (r"convnext_(?!\w*(?:rms|hnf|ols|zepto))\w+", CONVNEXT),
    (
        r"convnextv2_\w+",
        arxiv("2301.00808", "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders"),
    ),
    (
        r"edgenext_\w+",
        arxiv(
            "2206.10589",
            "EdgeNeXt: Efficiently Amalgamated CNN-Transformer Architecture for Mobile Vision Applications",
        ),
    ),
    (
        r"fastvit_mci\d",
        arxiv("2311.17049", "MobileCLIP: Fast Image-Text Models through Multi-Modal Reinforced Training"),
    ),
    (
        r"fastvit_\w+",
        arxiv("2303.14189", "FastViT: A Fast Hybrid Vision Transformer using Structural Reparameterization"),
    ),
    (r"coatnet_\d_224", arxiv("2106.04803", "CoAtNet: Marrying Convolution and Attention for All Data Sizes")),
    (r"maxvit_\w+_tf_\d+", MAXVIT),
    (r"poolformer_\w+", arxiv("2111.11418", "MetaFormer Is Actually What You Need for Vision")),
    (r"(?:caformer|convformer|poolformerv2)_\w+", arxiv("2210.13452", "MetaFormer Baselines for Vision")),
    (r"davit_\w+", arxiv("2204.03645", "DaViT: Dual Attention Vision Transformers")),
    (r"mixer_\w+", arxiv("2105.01601", "MLP-Mixer: An all-MLP Architecture for Vision")),
    (r"gmlp_\w+", arxiv("2105.08050", "Pay Attention to MLPs")),
    (
        r"resmlp_\w+",
        arxiv("2105.03404", "ResMLP: Feedforward networks for image classification with data-efficient training"),
    ),
    (r"swin_s3_\w+", arxiv("2111.14725", "Searching the Search Space of Vision Transformer")),
    (
        r"swin_(?:tiny|small|base|large)_\w+",
        SWIN,
    ),
    (r"hiera_(?!\w*abswin)\w+", _HIERA),
    (
        r"hiera_\w*abswin\w*",
        arxiv("2311.05613", "Window Attention is Bugged: How not to Interpolate Position Embeddings"),
    ),
    (r"sam2_hiera_\w+", arxiv("2408.00714", "SAM 2: Segment Anything in Images and Videos")),
    (r"samvit_\w+", arxiv("2304.02643", "Segment Anything")),
    (r"beit_\w+", arxiv("2106.08254", "BEiT: BERT Pre-Training of Image Transformers")),
    (r"beitv2_\w+", arxiv("2208.06366", "BEiT v2: Masked Image Modeling with Vector-Quantized Visual Tokenizers")),
    (
        r"deit_\w+",
        arxiv("2012.12877", "Training data-efficient image transformers & distillation through attention"),
    ),
    (r"deit3_\w+", arxiv("2204.07118", "DeiT III: Revenge of the ViT")),
    (r"flexivit_\w+", arxiv("2212.08013", "FlexiViT: One Model for All Patch Sizes")),
    (
        r"eva_(?:giant|large)_patch14_\d+",
        arxiv("2211.07636", "EVA: Exploring the Limits of Masked Visual Representation Learning at Scale"),
    ),
    (r"eva(?:02)?_\w+_clip_\d+", arxiv("2303.15389", "EVA-CLIP: Improved Training Techniques for CLIP at Scale")),
    (r"eva02_\w+", arxiv("2303.11331", "EVA-02: A Visual Representation for Neon Genesis")),
    (r"vit_\w+_reg4_dinov2", arxiv("2309.16588", "Vision Transformers Need Registers")),
    (r"vit_\w+_dinov2", arxiv("2304.07193", "DINOv2: Learning Robust Visual Features without Supervision")),
    (r"vit_\w+_dinov3(?:_qkvb)?", arxiv("2508.10104", "DINOv3")),
    (r"vit_\w+_siglip\w*", _SIGLIP),
    (r"vit_\w+_clip(?:_quickgelu)?_\d+", _CLIP),
    (
        r"vit_\w+_patch16_rope(?:_mixed|_ape|_mixed_ape)?_224",
        arxiv("2403.13298", "Rotary Position Embedding for Vision Transformer"),
    ),
    (r"vit_(?:tiny|small|base|large|huge|giant|gigantic)_(?:patch|r26_s|r50_s)\d+_\d+", VIT),
    (r"vit_tiny_r_s16_p8_\d+", VIT),
)
"""(whole name, paper); the first that fits counts. timm's own inventions and mixtures are left out."""


def paper_for(arch: str) -> Paper | None:
    """The paper of an architecture of timm, or None where none is known for certain."""
    return next((paper for pattern, paper in PAPERS if re.fullmatch(pattern, arch)), None)
