"""The estimators by name, and fitting one over all layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from refusal_steering.errors import InputError
from refusal_steering.vectors.groups import Groups, split_groups
from refusal_steering.vectors.md import md
from refusal_steering.vectors.rmd import rmd
from refusal_steering.vectors.steering_vector import Provenance, SteeringVector
from refusal_steering.vectors.wmd import wmd
from refusal_steering.vectors.wrmd import wrmd

Estimator = Literal["md", "wmd", "rmd", "wrmd"]
ESTIMATORS: dict[Estimator, Callable[[Groups, float, bool], Tensor]] = {"md": md, "wmd": wmd, "rmd": rmd, "wrmd": wrmd}
RIDGE_ESTIMATORS: tuple[Estimator, ...] = ("rmd", "wrmd")


@dataclass(frozen=True)
class Options:
    """Which estimator, with which ridge.

    Attributes:
        estimator: `md`, `wmd`, `rmd` or `wrmd`.
        ridge: lambda; the paper's absolute value is 1e-2.
        relative: whether lambda is a share of trace(Sigma)/width. Residual norms grow by orders of magnitude
            with depth, so an absolute lambda means another thing in every layer.
    """

    estimator: Estimator = "wrmd"
    ridge: float = 1e-2
    relative: bool = True

    def __post_init__(self) -> None:
        if self.estimator not in ESTIMATORS:
            raise InputError(f"unknown estimator {self.estimator!r}; there are {', '.join(ESTIMATORS)}")
        if not self.ridge > 0 and self.estimator in RIDGE_ESTIMATORS:
            raise InputError(f"the ridge must be above 0, not {self.ridge:g}")

    @property
    def label(self) -> str:
        """How tables name it."""
        if self.estimator not in RIDGE_ESTIMATORS:
            return self.estimator
        return f"{self.estimator}({self.ridge:g}{'' if self.relative else ' abs'})"


def fit_vector(activations: Tensor, confidence: Tensor, options: Options, provenance: Provenance) -> SteeringVector:
    """Fit one unit direction per layer.

    Args:
        activations: h_l at the last prompt token, [n, layers, width].
        confidence: c(x) per prompt, [n], in [-1, 1].
        options: estimator and ridge.
        provenance: where the data comes from; it is completed with the options and the counts.

    Raises:
        InputError: no refused or no answered prompt, or two groups that do not differ in some layer.
    """
    directions, offsets = [], []
    groups = None
    for layer in range(activations.shape[1]):
        groups = split_groups(activations[:, layer], confidence)
        raw = ESTIMATORS[options.estimator](groups, options.ridge, options.relative)
        norm = raw.norm()
        if not norm > 0 or not norm.isfinite():
            raise InputError(f"layer {layer}: refused and answered prompts have the same activations, so there is no direction")
        directions.append((raw / norm).float())
        offsets.append(groups.offset.float())
    if groups is None:
        raise InputError("there are no layers to fit")
    return SteeringVector(
        directions=torch.stack(directions),
        offsets=torch.stack(offsets),
        scales_plus=torch.ones(len(directions)),
        scales_minus=torch.ones(len(directions)),
        provenance=provenance.completed(options.label, len(groups.refused), len(groups.answered)),
    )
