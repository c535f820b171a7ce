"""The two groups an estimator compares, and the moments it needs of them. Everything is float64."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from refusal_steering.errors import InputError

# |c| up to this is neither a refusal nor an answer (paper, section on refusal confidence).
NEUTRAL = 0.15


@dataclass(frozen=True)
class Groups:
    """Activations of one layer, split by confidence.

    Attributes:
        refused: P, activations [n, width] of the prompts with c > 0.15.
        answered: N, activations [m, width] of the prompts with c < -0.15.
        refused_weights: |c| of P, [n].
        answered_weights: |c| of N, [m].
        offset: o [width], the mean over the neutral prompts; where there are none, over the answered ones.
    """

    refused: Tensor
    answered: Tensor
    refused_weights: Tensor
    answered_weights: Tensor
    offset: Tensor


def split_groups(activations: Tensor, confidence: Tensor) -> Groups:
    """Split the activations [n, width] of one layer by their prompts' confidence [n] in [-1, 1].

    Raises:
        InputError: there is no refused or no answered prompt, so that there is nothing to compare.
    """
    wide, c = activations.double(), confidence.double()
    refused, answered, neutral = c > NEUTRAL, c < -NEUTRAL, c.abs() <= NEUTRAL
    if not refused.any() or not answered.any():
        raise InputError(
            f"a vector needs refused and answered prompts; the fit split has {int(refused.sum())} refused "
            f"and {int(answered.sum())} answered ones"
        )
    rest = wide[neutral] if neutral.any() else wide[answered]
    return Groups(wide[refused], wide[answered], c[refused].abs(), c[answered].abs(), rest.mean(0))


def weighted_mean(rows: Tensor, weights: Tensor) -> Tensor:
    """sum_i w_i x_i / sum_i w_i over the rows [n, width]."""
    return (weights[:, None] * rows).sum(0) / weights.sum()


def weighted_covariance(rows: Tensor, weights: Tensor) -> Tensor:
    """sum_i w_i (x_i - mean)(x_i - mean)^T / sum_i w_i [width, width], about the weighted mean.

    The paper's formula leaves the rows uncentred, which would add a rank-one term.
    """
    centred = rows - weighted_mean(rows, weights)
    return (weights[:, None] * centred).T @ centred / weights.sum()


def ridge_solve(covariance: Tensor, difference: Tensor, ridge: float, relative: bool) -> Tensor:
    """(Sigma + lambda I)^-1 d, with lambda = ridge, or ridge * trace(Sigma) / width if relative."""
    width = covariance.shape[0]
    amount = ridge * float(covariance.trace()) / width if relative else ridge
    regular = covariance + amount * torch.eye(width, dtype=covariance.dtype)
    factor, failed = torch.linalg.cholesky_ex(regular)
    if int(failed) != 0:
        raise InputError(f"the covariance cannot be inverted with lambda = {amount:g}; use a larger one")
    return torch.cholesky_solve(difference[:, None], factor).squeeze(1)
