"""Confidence-weighted mean difference."""

from __future__ import annotations

from torch import Tensor

from refusal_steering.vectors.groups import Groups, weighted_mean


def wmd(groups: Groups, ridge: float, relative: bool) -> Tensor:
    """v ~ mean_P^w - mean_N^w with weights |c|, not yet normalised [width]. Paper, WMD.

    The neutral offset cancels in the difference. The ridge plays no part.
    """
    return weighted_mean(groups.refused, groups.refused_weights) - weighted_mean(groups.answered, groups.answered_weights)
