"""SteeringVector, and the estimators that make one from activations and confidences."""

from refusal_steering.vectors.estimators import ESTIMATORS, Estimator, Options, fit_vector
from refusal_steering.vectors.groups import NEUTRAL, Groups, split_groups
from refusal_steering.vectors.steering_vector import Mode, Provenance, SteeringVector

__all__ = [
    "ESTIMATORS",
    "NEUTRAL",
    "Estimator",
    "Groups",
    "Mode",
    "Options",
    "Provenance",
    "SteeringVector",
    "fit_vector",
    "split_groups",
]
