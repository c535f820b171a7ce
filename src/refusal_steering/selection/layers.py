"""Ranking layers on validation data, and the sets of layers the finder tries."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# Share of the deepest layers that is never steered (paper, section on layers).
DEEPEST = 0.05
COUNTS = (1, 2, 4, 8, 16)


def layer_scores(projection: Tensor, confidence: Tensor) -> Tensor:
    """r_l - RMSE_l [layers] from projections [n, layers] and confidences [n]; higher is better.

    r_l is the Pearson correlation of p_l with c. RMSE_l compares c with p_l brought to the mean and the spread
    of c, and counts a prompt whose sign disagrees twice:
    q = mean(c) + std(c) (p - mean(p)) / std(p);  RMSE = sqrt(mean(u (q - c)^2)), u = 2 where q c < 0, else 1.
    The paper gives no formula for its RMSE; this one does not depend on the units of the layer.
    A layer whose projections do not vary scores -inf.
    """
    c = confidence.double()
    p = projection.double()
    spread_c, spread_p = c.std(correction=0), p.std(0, correction=0)
    if spread_c == 0:
        return torch.full((p.shape[1],), -math.inf, dtype=torch.float64)
    standard = (p - p.mean(0)) / spread_p
    r = (standard * ((c - c.mean()) / spread_c)[:, None]).mean(0)
    q = c.mean() + spread_c * standard
    weight = torch.where(q * c[:, None] < 0, 2.0, 1.0).double()
    rmse = (weight * (q - c[:, None]).square()).mean(0).sqrt()
    score = r - rmse
    return torch.where(score.isfinite(), score, torch.full_like(score, -math.inf))


def steerable_layers(depth: int) -> list[int]:
    """All layers but the deepest 5 % (at least one is left out, and at least one is kept)."""
    return list(range(max(1, depth - max(1, math.ceil(DEEPEST * depth)))))


def layer_sets(scores: Tensor, depth: int) -> list[tuple[int, ...]]:
    """The sets of layers to try: the k best ranked, k in 1, 2, 4, 8, 16, and runs of neighbours over the whole depth.

    Correlation says where refusal can be read, not where it can be turned, so the ranking alone is not trusted.
    """
    allowed = steerable_layers(depth)
    ranked: Sequence[int] = sorted(allowed, key=lambda layer: (-float(scores[layer]), layer))
    sets = [tuple(sorted(ranked[:count])) for count in COUNTS if count <= len(allowed)]
    for size in (1, 2, 4):
        # At most twelve starting points whatever the depth.
        step = max(1, math.ceil(len(allowed) / 12))
        for start in range(0, len(allowed) - size + 1, step):
            sets.append(tuple(allowed[start : start + size]))
    return list(dict.fromkeys(sets))
