"""Model organisms: small language models trained here, whose every refusal is known by construction."""
