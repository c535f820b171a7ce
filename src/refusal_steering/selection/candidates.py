"""Candidate: one way to steer, and the space the finder draws them from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna

from refusal_steering.steering import Intervention
from refusal_steering.vectors import Mode, SteeringVector

# Strengths in multiples of the layers' scales, spread over the steered layers: with k layers each gets 1/k of it,
# so that a total means about the same for every k.
TOTAL_STRENGTH = {"add": (0.1, 8.0), "reposition": (0.01, 2.0), "ablate": (0.2, 2.0)}


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


def draw(trial: optuna.Trial, layer_sets: Mapping[str, Sequence[tuple[int, ...]]], modes: Sequence[Mode]) -> Candidate:
    """A candidate that removes refusal, as Optuna suggests it.

    Args:
        trial: the trial that asks.
        layer_sets: for every vector's name the sets of layers to choose from; all have the same number of sets.
        modes: modes to choose from.
    """
    vector = trial.suggest_categorical("vector", list(layer_sets))
    rank = trial.suggest_categorical("layer_set", list(range(min(map(len, layer_sets.values())))))
    mode: Mode = trial.suggest_categorical("mode", list(modes))  # type: ignore[assignment]
    low, high = TOTAL_STRENGTH[mode]
    total = trial.suggest_float(f"strength_{mode}", low, high, log=True)
    layers = layer_sets[vector][rank]
    # Below zero the strength takes refusal away; an ablated share is positive by definition and not divided.
    strength = total if mode == "ablate" else -total / len(layers)
    return Candidate(vector, layers, float(f"{strength:.4g}"), mode)
