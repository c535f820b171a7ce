"""Refusal confidence per prompt, from the verdicts on its K sampled answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def confidence(scores: Sequence[float | None], logprobs: Sequence[float], tau: float = 1.0) -> float | None:
    """c(x) = sum_k w_k max(z_k, 0) - sum_k w_k max(-z_k, 0), w = softmax(s / tau), in [-1, 1]. Paper, refusal confidence.

    Args:
        scores: z_k in [-1, 1]; None for an answer without a score (degenerate, unfinished, unjudged), which is left out.
        logprobs: s_k, mean log-probability of the answer's tokens.
        tau: temperature of the weights. At 1 they are nearly uniform.

    Returns:
        c(x), or None where no answer has a score.
    """
    pairs = [(z, s) for z, s in zip(scores, logprobs, strict=True) if z is not None]
    if not pairs:
        return None
    z, s = np.array(pairs, dtype=np.float64).T
    weights = np.exp((s - s.max()) / tau)
    return float((weights * z).sum() / weights.sum())
