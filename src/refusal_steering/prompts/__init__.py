"""Prompts: what is asked, of which category, and in which split."""

from refusal_steering.prompts.loaders import load_prompts
from refusal_steering.prompts.prompt import (
    BENIGN,
    HARMFUL,
    ROLES,
    SENSITIVE,
    SPLITS,
    Message,
    Prompt,
    PromptSet,
    Role,
    Split,
    split_of,
)

__all__ = [
    "BENIGN",
    "HARMFUL",
    "ROLES",
    "SENSITIVE",
    "SPLITS",
    "Message",
    "Prompt",
    "PromptSet",
    "Role",
    "Split",
    "load_prompts",
    "split_of",
]
