"""Confidence-weighted, ridge-regularised mean difference."""

from __future__ import annotations

from torch import Tensor

from refusal_steering.vectors.groups import Groups, ridge_solve, weighted_covariance
from refusal_steering.vectors.wmd import wmd


def wrmd(groups: Groups, ridge: float, relative: bool) -> Tensor:
    """v ~ (Sigma_N^w + lambda I)^-1 (mean_P^w - mean_N^w), weights |c|, not yet normalised [width]. Paper, WRMD."""
    covariance = weighted_covariance(groups.answered, groups.answered_weights)
    return ridge_solve(covariance, wmd(groups, ridge, relative), ridge, relative)
