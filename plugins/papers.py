"""Papers that introduced networks, those of which more than one library here has the networks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """One publication.

    Attributes:
        reference: `arXiv:1409.1556`, `doi:10.1038/323533a0`, or an address where it has neither.
        title: As printed.
        year: Of the first publication.
    """

    reference: str
    title: str
    year: int


def arxiv(number: str, title: str) -> Paper:
    """A paper on arXiv, whose number (`1409.1556`) says its year."""
    return Paper(f"arXiv:{number}", title, 2000 + int(number[:2]))


ROSENBLATT = Paper(
    "doi:10.1037/h0042519",
    "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain",
    1958,
)
RUMELHART = Paper("doi:10.1038/323533a0", "Learning Representations by Back-propagating Errors", 1986)
LECUN = Paper("doi:10.1109/5.726791", "Gradient-Based Learning Applied to Document Recognition", 1998)
KRIZHEVSKY = Paper("doi:10.1145/3065386", "ImageNet Classification with Deep Convolutional Neural Networks", 2012)
VGG = arxiv("1409.1556", "Very Deep Convolutional Networks for Large-Scale Image Recognition")
GOOGLENET = arxiv("1409.4842", "Going Deeper with Convolutions")
RESNET = arxiv("1512.03385", "Deep Residual Learning for Image Recognition")
INCEPTION_V3 = arxiv("1512.00567", "Rethinking the Inception Architecture for Computer Vision")
INCEPTION_V4 = arxiv("1602.07261", "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning")
XCEPTION = arxiv("1610.02357", "Xception: Deep Learning with Depthwise Separable Convolutions")

RESNEXT = arxiv("1611.05431", "Aggregated Residual Transformations for Deep Neural Networks")
WIDE_RESNET = arxiv("1605.07146", "Wide Residual Networks")
DENSENET = arxiv("1608.06993", "Densely Connected Convolutional Networks")
MOBILENET_V2 = arxiv("1801.04381", "MobileNetV2: Inverted Residuals and Linear Bottlenecks")
MOBILENET_V3 = arxiv("1905.02244", "Searching for MobileNetV3")
MNASNET = arxiv("1807.11626", "MnasNet: Platform-Aware Neural Architecture Search for Mobile")
EFFICIENTNET = arxiv("1905.11946", "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks")
EFFICIENTNET_V2 = arxiv("2104.00298", "EfficientNetV2: Smaller Models and Faster Training")
REGNET = arxiv("2003.13678", "Designing Network Design Spaces")
VIT = arxiv("2010.11929", "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale")
SWIN = arxiv("2103.14030", "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows")
CONVNEXT = arxiv("2201.03545", "A ConvNet for the 2020s")
MAXVIT = arxiv("2204.01697", "MaxViT: Multi-Axis Vision Transformer")
