"""SteeringVector: one unit direction per layer with offsets and scales, its file, and the interventions it gives."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from transformers import PreTrainedModel

from refusal_steering.architecture import decoder_layers, fingerprint, hidden_width
from refusal_steering.errors import InputError, VectorMismatchError
from refusal_steering.files import write_atomically
from refusal_steering.steering import Action, Intervention

Mode = Literal["add", "reposition", "ablate"]
MODES: tuple[Mode, ...] = get_args(Mode)
FORMAT = "refusal-steering/1"


@dataclass(frozen=True)
class Provenance:
    """Where a vector came from.

    Attributes:
        model: name of the model.
        fingerprint: hash of the model's weights; a vector is only applied to the model it came from.
        data: hash of the fit prompts and their confidences.
        estimator: estimator and ridge, as tables name them.
        refused: |P|.
        answered: |N|.
    """

    model: str
    fingerprint: str
    data: str = ""
    estimator: str = ""
    refused: int = 0
    answered: int = 0

    def completed(self, estimator: str, refused: int, answered: int) -> Provenance:
        """With what only the fit knows."""
        return replace(self, estimator=estimator, refused=refused, answered=answered)


@dataclass(frozen=True, eq=False)
class SteeringVector:
    """Unit directions v_l [layers, width], offsets o_l [layers, width] and scales s_l+, s_l- [layers], float32.

    The directions point towards refusal: a negative strength takes refusal away, a positive one adds it.
    Scales are 1 until selection has set them from validation data.
    """

    directions: Tensor
    offsets: Tensor
    scales_plus: Tensor
    scales_minus: Tensor
    provenance: Provenance

    def __post_init__(self) -> None:
        depth, width = self.directions.shape
        if self.offsets.shape != (depth, width) or any(s.shape != (depth,) for s in (self.scales_plus, self.scales_minus)):
            raise InputError("directions, offsets and scales of a vector have different shapes")
        for name, tensor in self._tensors().items():
            if not tensor.isfinite().all():
                raise InputError(f"the vector's {name} hold NaN or infinity")
        if not torch.allclose(self.directions.double().norm(dim=1), torch.ones(depth, dtype=torch.float64), atol=1e-4):
            raise InputError("the vector's directions are not unit vectors")

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.directions.shape[0]

    @property
    def width(self) -> int:
        """Width of the residual stream."""
        return self.directions.shape[1]

    def intervention(self, layers: Sequence[int], strength: float, mode: Mode = "add") -> Intervention:
        """What is done to the model after each of `layers`.

        Args:
            layers: layer indices, 0-based.
            strength: alpha. Below 0 removes refusal, above 0 adds it; 0 is off in every mode. With `ablate` it
                is the share of the projection that is taken away.
            mode: `add` gives (alpha s, 0), `reposition` (alpha s + <o, v>, -1), `ablate` (0, -alpha), as
                (beta, gamma) of `h + (beta + gamma <h, v>) v`. s is s+ for alpha > 0 and s- for alpha < 0.

        Raises:
            InputError: an unknown layer or mode, or a strength that is not finite.
        """
        if mode not in MODES:
            raise InputError(f"unknown mode {mode!r}; there are {', '.join(MODES)}")
        if not torch.tensor(float(strength)).isfinite():
            raise InputError(f"the strength must be a finite number, not {strength}")
        unknown = [layer for layer in layers if not 0 <= layer < self.depth]
        if unknown:
            raise InputError(f"unknown layer(s) {unknown}; the vector has layers 0 to {self.depth - 1}")
        if strength == 0:
            return Intervention(())
        actions = []
        for layer in sorted(set(layers)):
            direction = self.directions[layer]
            push = strength * float((self.scales_plus if strength > 0 else self.scales_minus)[layer])
            if mode == "add":
                beta, gamma = push, 0.0
            elif mode == "reposition":
                beta, gamma = push + float(self.offsets[layer] @ direction), -1.0
            else:
                beta, gamma = 0.0, -float(strength)
            actions.append(Action(layer, direction, beta, gamma))
        return Intervention(tuple(actions))

    def check_model(self, model: PreTrainedModel) -> None:
        """Raise VectorMismatchError unless the vector was fitted on this very model."""
        depth, width = len(decoder_layers(model)), hidden_width(model)
        if (self.depth, self.width) != (depth, width):
            raise VectorMismatchError(
                f"the vector has {self.depth} layers of width {self.width}, the model {depth} of width {width}; "
                "fit one for this model"
            )
        if self.provenance.fingerprint != fingerprint(model):
            raise VectorMismatchError(
                f"the vector was fitted on {self.provenance.model} with other weights than this model's; fit one for this model"
            )

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all."""
        metadata = {"format": FORMAT, "provenance": json.dumps(asdict(self.provenance))}
        write_atomically(path, save({k: t.detach().clone() for k, t in self._tensors().items()}, metadata))

    @classmethod
    def load(cls, path: Path | str) -> SteeringVector:
        """Read a vector's file.

        Raises:
            InputError: it is missing, truncated, of another format, or holds NaN or infinity.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such vector file")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise InputError(f"{path}: is not a steering vector of format {FORMAT}")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no dict
            provenance = Provenance(**json.loads(metadata["provenance"]))
            return cls(**tensors, provenance=provenance)
        except InputError as error:
            message = str(error)
            raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from None
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
            raise InputError(f"{path}: is truncated or not a steering vector ({error})") from None

    def _tensors(self) -> dict[str, Tensor]:
        return {
            "directions": self.directions,
            "offsets": self.offsets,
            "scales_plus": self.scales_plus,
            "scales_minus": self.scales_minus,
        }
