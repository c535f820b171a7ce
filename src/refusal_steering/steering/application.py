"""Applying interventions to a transformers model: every token, prompt and generated, of every row of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from refusal_steering.architecture import after_layers, decoder_layers, hidden_width, verify_layers
from refusal_steering.errors import InputError, NotAppliedError, VectorMismatchError
from refusal_steering.steering.intervention import Action, Intervention


@contextmanager
def steered(model: PreTrainedModel, rows: Intervention | Sequence[Intervention | None]) -> Iterator[None]:
    """Steer a model while the context is open: `with steered(model, intervention): model.generate(...)`.

    Args:
        model: the model; its hooks are removed on leaving, however that happens. Contexts may be nested:
            the inner one acts on what the outer one has left.
        rows: one intervention for every row, or one (or None) for each row of the batches that will be run.

    Raises:
        VectorMismatchError: an action names a layer the model lacks, or has another width.
        InputError: a batch has another number of rows than `rows`.
        NotAppliedError: on leaving, a steered layer never ran; or a steered row was not changed by its action.
    """
    whole = isinstance(rows, Intervention)
    each: list[Intervention | None] = [rows] if isinstance(rows, Intervention) else list(rows)
    _check_fits(model, each)
    plan = _plan(each)
    if not plan:
        yield
        return
    verify_layers(model)
    ran: set[int] = set()

    def act(layer: int, hidden: Tensor) -> Tensor:
        if not whole and hidden.shape[0] != len(each):
            raise InputError(f"a batch of {hidden.shape[0]} rows ran under interventions for {len(each)} rows")
        steps = plan[layer]
        changed = hidden
        for step in steps:
            changed = step.on(changed)
        if layer not in ran:
            _check_changed(layer, steps, hidden, changed)
            ran.add(layer)
        return changed

    with after_layers(model, list(plan), act):
        yield
    silent = sorted(set(plan) - ran)
    if silent:
        raise NotAppliedError(f"layer(s) {silent} were to be steered, but the model did not run them inside the context")


@dataclass
class _Step:
    """One action per row after a layer: directions [rows, width], beta and gamma [rows, 1, 1]; rows may be 1 for all."""

    direction: Tensor
    beta: Tensor
    gamma: Tensor

    def __post_init__(self) -> None:
        self.projects = bool(self.gamma.any())

    def on(self, hidden: Tensor) -> Tensor:
        if self.direction.device != hidden.device:
            self.direction, self.beta, self.gamma = (t.to(hidden.device) for t in (self.direction, self.beta, self.gamma))
        # In float32 whatever the model's dtype: a row whose coefficients are zero comes back bit for bit.
        wide = hidden.float()
        direction = self.direction[:, None, :]
        amount = self.beta
        if self.projects:
            amount = amount + self.gamma * (wide * direction).sum(-1, keepdim=True)
        return (wide + amount * direction).to(hidden.dtype)

    @property
    def active(self) -> Tensor:
        return ((self.beta != 0) | (self.gamma != 0)).flatten()


def _plan(rows: Sequence[Intervention | None]) -> dict[int, list[_Step]]:
    """The steps after each layer: the n-th actions of all rows are taken together."""
    per_layer: dict[int, list[list[Action]]] = {}
    for index, row in enumerate(rows):
        if row is None or row.does_nothing:
            continue
        for action in row.actions:
            per_layer.setdefault(action.layer, [[] for _ in rows])[index].append(action)
    plan: dict[int, list[_Step]] = {}
    for layer, actions in per_layer.items():
        width = next(a for row in actions for a in row).direction.shape[0]
        steps = []
        for rank in range(max(len(row) for row in actions)):
            direction = torch.zeros(len(rows), width)
            beta = torch.zeros(len(rows), 1, 1)
            gamma = torch.zeros(len(rows), 1, 1)
            for index, row_actions in enumerate(actions):
                if rank < len(row_actions):
                    action = row_actions[rank]
                    direction[index], beta[index], gamma[index] = action.direction, action.beta, action.gamma
            steps.append(_Step(direction, beta, gamma))
        plan[layer] = steps
    return plan


def _check_fits(model: PreTrainedModel, rows: Sequence[Intervention | None]) -> None:
    depth, width = len(decoder_layers(model)), hidden_width(model)
    for row in rows:
        for action in row.actions if row is not None else ():
            if not 0 <= action.layer < depth:
                raise VectorMismatchError(f"layer {action.layer} is to be steered, but the model has layers 0 to {depth - 1}")
            if action.direction.shape != (width,):
                raise VectorMismatchError(f"the vector is {action.direction.shape[0]} wide, the model {width}")


def _check_changed(layer: int, steps: Sequence[_Step], before: Tensor, after: Tensor) -> None:
    active = torch.stack([step.active for step in steps]).any(0).to(before.device)
    same = (before == after).all(-1).all(-1)
    if bool((same & active).any()):
        raise NotAppliedError(
            f"the intervention after layer {layer} changed nothing: its strength is lost in the model's {before.dtype} precision"
        )
