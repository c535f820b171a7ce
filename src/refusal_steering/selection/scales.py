"""Scales: what a strength of 1 means in each layer, from validation data."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from refusal_steering.vectors import SteeringVector


def projections(activations: Tensor, directions: Tensor) -> Tensor:
    """p_l(x) = <h_l(x), v_l> [n, layers], float64, of activations [n, layers, width] on unit directions [layers, width]."""
    return torch.einsum("nlw,lw->nl", activations.double(), directions.double())


def scales(projection: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
    """(s+, s-) [layers] from projections [n, layers] and confidences [n]. Paper, section on application.

    s+ = |Q.95(p) / Q.95(c)| over the prompts with c > 0, s- = |Q.05(p) / Q.05(c)| over those with c < 0;
    1 where undefined (no such prompt, or a quotient that is zero or not finite).
    """
    c = confidence.double()
    return _scale(projection, c, c > 0, 0.95), _scale(projection, c, c < 0, 0.05)


def gaps(projection: Tensor, confidence: Tensor) -> Tensor:
    """Per layer the distance of the mean projections [n, layers] of prompts with c > 0 and with c < 0; 1 where undefined."""
    c = confidence.double()
    distance = (projection[c > 0].mean(0) - projection[c < 0].mean(0)).abs()
    return torch.where(distance.isfinite() & (distance > 0), distance, torch.ones_like(distance))


def with_scales(vector: SteeringVector, activations: Tensor, confidence: Tensor) -> SteeringVector:
    """The vector with its scales set from validation activations [n, layers, width] and confidences [n]."""
    plus, minus = scales(projections(activations, vector.directions), confidence)
    return replace(vector, scales_plus=plus.float(), scales_minus=minus.float())


def _scale(projection: Tensor, c: Tensor, chosen: Tensor, quantile: float) -> Tensor:
    ones = torch.ones(projection.shape[1], dtype=torch.float64)
    if not chosen.any():
        return ones
    quotient = (torch.quantile(projection[chosen], quantile, dim=0) / torch.quantile(c[chosen], quantile)).abs()
    return torch.where(quotient.isfinite() & (quotient > 0), quotient, ones)
