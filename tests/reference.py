"""An independent reference in numpy, float64, written from the formulas and from nothing in the package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def groups(h: Array, c: Array) -> tuple[Array, Array, Array, Array]:
    p, n = c > 0.15, c < -0.15
    return h[p], h[n], np.abs(c[p]), np.abs(c[n])


def mean(rows: Array, weights: Array) -> Array:
    total = np.zeros(rows.shape[1])
    for row, weight in zip(rows, weights, strict=True):
        total += weight * row
    return total / weights.sum()


def covariance(rows: Array, weights: Array) -> Array:
    centre = mean(rows, weights)
    total = np.zeros((rows.shape[1], rows.shape[1]))
    for row, weight in zip(rows, weights, strict=True):
        total += weight * np.outer(row - centre, row - centre)
    return total / weights.sum()


def direction(name: str, h: Array, c: Array, ridge: float, relative: bool) -> Array:
    p, n, wp, wn = groups(h, c)
    if name in ("md", "rmd"):
        wp, wn = np.ones_like(wp), np.ones_like(wn)
    v = mean(p, wp) - mean(n, wn)
    if name in ("rmd", "wrmd"):
        sigma = covariance(n, wn)
        lam = ridge * np.trace(sigma) / len(v) if relative else ridge
        v = np.linalg.inv(sigma + lam * np.eye(len(v))) @ v
    return v / np.linalg.norm(v)


def quantile(values: Array, q: float) -> float:
    ordered = np.sort(values)
    place = q * (len(ordered) - 1)
    low = int(np.floor(place))
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


def scale(p: Array, c: Array, positive: bool) -> float:
    chosen = c > 0 if positive else c < 0
    if not chosen.any():
        return 1.0
    q = 0.95 if positive else 0.05
    bottom = quantile(c[chosen], q)
    value = abs(quantile(p[chosen], q) / bottom) if bottom else 0.0
    return value if np.isfinite(value) and value > 0 else 1.0


def layer_score(p: Array, c: Array) -> float:
    r = float(np.corrcoef(p, c)[0, 1])
    q = c.mean() + c.std() * (p - p.mean()) / p.std()
    total = sum((2.0 if a * b < 0 else 1.0) * (a - b) ** 2 for a, b in zip(q, c, strict=True))
    return r - float(np.sqrt(total / len(c)))
