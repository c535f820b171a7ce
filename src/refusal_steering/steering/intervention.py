"""Intervention: everything that is done to a model, in one form.

After a decoder layer the residual stream becomes `h + (beta + gamma * <h, v>) v`, per token, with v a unit
vector. Adding alpha * s is (alpha s, 0), repositioning (alpha s + <o, v>, -1), ablating a share a (0, -a).
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from transformers import PreTrainedModel

from refusal_steering.errors import InputError


@dataclass(frozen=True, eq=False)
class Action:
    """`h + (beta + gamma * <h, v>) v` after one layer.

    Attributes:
        layer: index of the decoder layer after which it acts.
        direction: v, a unit vector [width], float32.
        beta: what is added along v, in units of the residual stream.
        gamma: share of the projection on v that is added; -1 removes it.
    """

    layer: int
    direction: Tensor
    beta: float
    gamma: float


@dataclass(frozen=True, eq=False)
class Intervention:
    """Actions in the order in which they are taken. Two interventions are the same if their digests are.

    Raises:
        InputError: a direction is not a finite unit vector, or a coefficient is not finite.
    """

    actions: tuple[Action, ...]

    def __post_init__(self) -> None:
        for action in self.actions:
            finite = torch.isfinite(torch.tensor([action.beta, action.gamma])).all() and action.direction.isfinite().all()
            if not finite:
                raise InputError(f"the intervention after layer {action.layer} is not finite")
            if abs(float(action.direction.double().norm()) - 1) > 1e-4:
                raise InputError(f"the direction of the intervention after layer {action.layer} is not a unit vector")

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers it acts after, in ascending order."""
        return tuple(sorted({action.layer for action in self.actions}))

    @property
    def does_nothing(self) -> bool:
        """Whether every coefficient is zero, so that the model computes what it computes without it."""
        return all(action.beta == 0 and action.gamma == 0 for action in self.actions)

    @cached_property
    def digest(self) -> str:
        """Hash of the content; the empty string for an intervention that does nothing."""
        if self.does_nothing:
            return ""
        digest = hashlib.sha256()
        for action in self.actions:
            digest.update(f"{action.layer} {action.beta!r} {action.gamma!r} ".encode())
            digest.update(action.direction.contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]

    def applied_to(self, model: PreTrainedModel) -> AbstractContextManager[None]:
        """Steer every row of every forward pass of the model while the context is open; see `steered`."""
        from refusal_steering.steering.application import steered

        return steered(model, self)
