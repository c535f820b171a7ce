"""Ridge-regularised mean difference."""

from __future__ import annotations

import torch
from torch import Tensor

from refusal_steering.vectors.groups import Groups, ridge_solve, weighted_covariance
from refusal_steering.vectors.md import md


def rmd(groups: Groups, ridge: float, relative: bool) -> Tensor:
    """v ~ (Sigma_N + lambda I)^-1 (mean_P - mean_N), not yet normalised [width]. Paper, RMD."""
    covariance = weighted_covariance(groups.answered, torch.ones_like(groups.answered_weights))
    return ridge_solve(covariance, md(groups, ridge, relative), ridge, relative)
