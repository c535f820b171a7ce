"""Model organisms: small language models trained here, whose every refusal is known by construction."""

from refusal_steering.organism.bundle import bundled_organism

__all__ = ["bundled_organism"]
