"""Candidate: one way to steer, and the space the finder draws them from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from torch import Tensor

from refusal_steering.steering import Intervention
from refusal_steering.vectors import Mode, SteeringVector

# How far to push, in units of the gap between refused and answered prompts along the vector. Gaps are what
# layers and vectors have in common: the paper's scales depend on where zero happens to lie on the projection.
PUSH = {"add": (0.25, 16.0), "reposition": (0.02, 8.0)}
# An ablated share is a share of the projection, in whatever unit.
ABLATED = (0.2, 2.0)


@dataclass(frozen=True, eq=False)
class Space:
    """What the finder may do with one vector.

    Attributes:
        layer_sets: sets of layers to choose from.
        gaps: per layer, the distance of the mean projections of refused and answered validation prompts [layers].
        scales: the vector's s-, by which a negative strength is multiplied [layers].
    """

    layer_sets: Sequence[tuple[int, ...]]
    gaps: Tensor
    scales: Tensor

    def strength(self, layers: Sequence[int], push: float) -> float:
        """The alpha below zero that pushes by `push` gaps in all, spread over the layers."""
        chosen = list(layers)
        per_layer = float(self.gaps[chosen].mean() / self.scales[chosen].mean())
        return -push * per_layer / math.sqrt(len(chosen))


@dataclass(frozen=True)
class Candidate:
    """A vector (named by estimator and ridge), the layers it acts after, strength alpha and mode."""

    vector: str
    layers: tuple[int, ...]
    strength: float
    mode: Mode

    def intervention(self, vectors: Mapping[str, SteeringVector]) -> Intervention:
        """What it does to the model."""
        return vectors[self.vector].intervention(self.layers, self.strength, self.mode)

    def as_dict(self) -> dict[str, Any]:
        """Its fields, for JSON."""
        return {**asdict(self), "layers": list(self.layers)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Candidate:
        """The inverse of `as_dict`."""
        return cls(raw["vector"], tuple(raw["layers"]), float(raw["strength"]), raw["mode"])

    @property
    def key(self) -> str:
        """Hash of its fields."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:24]

    def __str__(self) -> str:
        return f"{self.vector} {self.mode} {self.strength:+.3g} after layers {list(self.layers)}"


def draw(trial: optuna.Trial, spaces: Mapping[str, Space], modes: Sequence[Mode]) -> Candidate:
    """A candidate that removes refusal, as Optuna suggests it.

    Args:
        trial: the trial that asks.
        spaces: what may be done with every vector, by its name; all have the same number of layer sets.
        modes: modes to choose from.
    """
    vector = trial.suggest_categorical("vector", list(spaces))
    space = spaces[vector]
    rank = trial.suggest_int("layer_set", 0, min(len(s.layer_sets) for s in spaces.values()) - 1)
    mode: Mode = trial.suggest_categorical("mode", list(modes))  # type: ignore[assignment]
    layers = space.layer_sets[rank]
    if mode == "ablate":
        strength = trial.suggest_float("share", *ABLATED)
    else:
        strength = space.strength(layers, trial.suggest_float(f"push_{mode}", *PUSH[mode], log=True))
    return Candidate(vector, layers, float(f"{strength:.4g}"), mode)
