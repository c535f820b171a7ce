"""Selection: scales, layer ranking, candidates, and the choice under the safety constraint."""

from refusal_steering.selection.candidates import Candidate, Space
from refusal_steering.selection.finder import Finder, Measured, choose
from refusal_steering.selection.layers import layer_scores, layer_sets, steerable_layers
from refusal_steering.selection.scales import gaps, projections, scales, with_scales

__all__ = [
    "Candidate", "Finder", "Measured", "Space", "choose", "gaps", "layer_scores", "layer_sets", "projections", "scales",
    "steerable_layers", "with_scales",
]  # fmt: skip
