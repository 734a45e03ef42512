"""The perceptron's loss: what error correction descends on."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Perceptron(nn.Module):
    """Zero where the answer is right, else the distance by which it is wrong; a tie is wrong.

    Class numbers int64[B] (one label an image): L = max(0, max_{k != y} z_k - z_y). With one linear layer z = W x its
    gradient is the error correction for several classes: where r != y has the largest logit, -x in row y and +x in row
    r, so that a step of rate eta adds eta x to the row of the truth and takes it from that of the answer.
    Shares float[B, K] (any number of labels): L = sum_k max(0, -t_k z_k) with t_k = 1 where the label is set and -1
    where it is not: K perceptrons, each with Rosenblatt's rule w_k += eta t_k x where t_k z_k <= 0.

    It has no gradient once all is right, so nothing pulls the logits further apart; and where no plane separates the
    classes it never comes to rest.

    Source: Rosenblatt 1958, doi:10.1037/h0042519, for the rule of one unit; Duda and Hart 1973, "Pattern Classification
        and Scene Analysis", section 5.12.2 (Kesler's construction), for several classes.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each image.

        Args:
            logits: float[B, K], K at least 2 where the targets are class numbers.
            targets: int64[B], or zeros and ones float[B, K].

        Returns:
            float32[B], 0 and more.
        """
        logits = logits.float()
        if targets.is_floating_point():
            signs = torch.where(targets > 0.5, 1.0, -1.0)
            return _where_wrong(-signs * logits).sum(dim=1)
        truth = logits.gather(1, targets[:, None])
        others = logits.scatter(1, targets[:, None], float("-inf"))
        best = others.detach().argmax(dim=1, keepdim=True)
        return _where_wrong(logits.gather(1, best) - truth).squeeze(1)


def _where_wrong(distance: Tensor) -> Tensor:
    """max(0, d), with a gradient at d = 0 too: a network that starts at 0 would never learn without."""
    return torch.where(distance >= 0, distance, torch.zeros_like(distance))
