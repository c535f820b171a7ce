"""Intervals and bounds of rates."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Rate:
    """A share with its two-sided 95 % Wilson interval.

    Attributes:
        rate: k / n.
        low: lower end of the interval.
        high: upper end of the interval.
        n: how many it is a share of; with 0 the interval is [0, 1] and the rate 0.
    """

    rate: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, k: int, n: int) -> Rate:
        """The rate of k among n."""
        if n == 0:
            return cls(0.0, 0.0, 1.0, 0)
        low, high = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
        return cls(k / n, float(low), float(high), n)

    def as_dict(self) -> dict[str, float]:
        """Rate and interval, for the summary."""
        return {"rate": self.rate, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        return f"{100 * self.rate:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def gain_bound(before: list[bool], after: list[bool], confidence: float = 0.95) -> float:
    """One-sided upper confidence bound (Clopper-Pearson) of how many prompts turn from no to yes.

    The rise of the share of yes is at most this, whatever turned the other way. With nothing observed among n
    prompts it is 1 - 0.05^(1/n): 59 prompts are needed before it falls below 5 points.

    Args:
        before: per prompt, whether it counted before.
        after: the same prompts after.
    """
    n = len(before)
    gained = sum(a and not b for b, a in zip(before, after, strict=True))
    return 1.0 if gained == n else float(stats.beta.ppf(confidence, gained + 1, n - gained))
