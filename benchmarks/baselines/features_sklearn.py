"""Frozen features, then scikit-learn's logistic regression: the script that `strategy=probe` replaces.

    python benchmarks/baselines/features_sklearn.py DATA

Prints one JSON line: test accuracy, seconds from the start of the process. C is chosen on validation.
"""

import json
import pathlib
import sys
import time

START = time.time()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from plain_loop import loader, pictures, pretrained  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402


def features(network: torch.nn.Module, folder: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Pooled features and labels of one split."""
    found, truth = [], []
    with torch.no_grad():
        for images, labels in loader(pictures(folder, train=False), train=False):
            found.append(network(images).numpy())
            truth.append(labels.numpy())
    return np.concatenate(found), np.concatenate(truth)


def main(data: str) -> None:
    """Fits and scores."""
    root = pathlib.Path(data)
    network = pretrained(0).eval()
    (x, y), (x_val, y_val), (x_test, y_test) = (
        features(network, root / split) for split in ("train", "validation", "test")
    )
    fits = [LogisticRegression(C=c, max_iter=1000).fit(x, y) for c in (0.01, 0.1, 1.0)]
    best = max(fits, key=lambda fit: fit.score(x_val, y_val))
    print(json.dumps({"accuracy": best.score(x_test, y_test), "seconds": time.time() - START}))


if __name__ == "__main__":
    main(*sys.argv[1:])
