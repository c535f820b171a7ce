"""Mean difference."""

from __future__ import annotations

from torch import Tensor

from refusal_steering.vectors.groups import Groups


def md(groups: Groups, ridge: float, relative: bool) -> Tensor:
    """v ~ mean_P - mean_N, not yet normalised [width]. Paper, MD. The ridge plays no part."""
    return groups.refused.mean(0) - groups.answered.mean(0)
