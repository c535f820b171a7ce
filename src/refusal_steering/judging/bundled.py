"""The bundled judge: a small language model that reads the organisms' world, and nothing else."""

from __future__ import annotations

from refusal_steering.engines import TransformersEngine
from refusal_steering.judging.local import LocalJudge
from refusal_steering.judging.rubric import BRIEF_RUBRIC
from refusal_steering.organism.bundle import JUDGE, bundled_path


def bundled_judge(batch_size: int = 256) -> LocalJudge:
    """Load the judge that comes with the package. It knows the fictional world's text only; real models need a real judge."""
    engine = TransformersEngine.load(str(bundled_path(JUDGE)), dtype="float32", device="cpu", batch_size=batch_size)
    engine.name = "bundled"
    return LocalJudge(engine, BRIEF_RUBRIC)
