"""The one intervention, and its application to a transformers model."""

from refusal_steering.steering.application import steered
from refusal_steering.steering.intervention import Action, Intervention

__all__ = ["Action", "Intervention", "steered"]
