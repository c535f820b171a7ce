"""The weights that come with the package, and how they are written."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from refusal_steering.errors import InputError

ORGANISM = "organism"
JUDGE = "judge"


def bundled_path(name: str) -> Path:
    """Directory of a bundled checkpoint. Raises InputError where the package has none of that name."""
    path = Path(str(files("refusal_steering.organism") / "weights" / name))
    if not (path / "model.safetensors").is_file():
        raise InputError(f"{path}: the bundled {name} is missing; train it with: refusal-steering organism train")
    return path


def bundled_organism() -> str:
    """Path of the bundled organism's checkpoint, which transformers loads like any other."""
    return str(bundled_path(ORGANISM))


def save_checkpoint(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Write a checkpoint in half precision, which every float32 computation starts from, so that files stay small."""
    half = {name: tensor.to(torch.float16) for name, tensor in model.state_dict().items()}
    model.save_pretrained(path, state_dict=half)
    tokenizer.save_pretrained(path)
