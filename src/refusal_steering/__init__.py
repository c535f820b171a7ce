"""Measure how a language model refuses, find the direction that carries it, and turn it up or down at inference time.

vector = SteeringVector.load("runs/demo/vectors/selected.safetensors")
with vector.intervention(layers=[2, 3], strength=-0.5).applied_to(model):
    model.generate(...)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refusal_steering.engines import Request, Sampling, TransformersEngine
    from refusal_steering.errors import RefusalSteeringError
    from refusal_steering.judging import EndpointJudge, bundled_judge, confidence
    from refusal_steering.prompts import Message, PromptSet, load_prompts
    from refusal_steering.steering import Intervention, steered
    from refusal_steering.vectors import SteeringVector, fit_vector

# Names are loaded when they are first used, so that `refusal-steering --help` does not wait for torch.
_HOMES = {
    "EndpointJudge": "judging",
    "Intervention": "steering",
    "Message": "prompts",
    "PromptSet": "prompts",
    "RefusalSteeringError": "errors",
    "Request": "engines",
    "Sampling": "engines",
    "SteeringVector": "vectors",
    "TransformersEngine": "engines",
    "bundled_judge": "judging",
    "confidence": "judging",
    "fit_vector": "vectors",
    "load_prompts": "prompts",
    "steered": "steering",
}

__all__ = [
    "EndpointJudge",
    "Intervention",
    "Message",
    "PromptSet",
    "RefusalSteeringError",
    "Request",
    "Sampling",
    "SteeringVector",
    "TransformersEngine",
    "bundled_judge",
    "confidence",
    "fit_vector",
    "load_prompts",
    "steered",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
