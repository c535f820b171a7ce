"""What an engine is asked and what it answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

from torch import Tensor

from refusal_steering.prompts import Message
from refusal_steering.prompts.prompt import messages_key
from refusal_steering.records import Completion
from refusal_steering.steering import Intervention

Item = TypeVar("Item")


@dataclass(frozen=True)
class Sampling:
    """How answers are sampled. Temperature 0 is greedy. The defaults are the paper's (its target, like ours, is sampled)."""

    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 20
    max_new_tokens: int = 256
    seed: int = 0

    @property
    def key(self) -> str:
        """Hash of all the settings."""
        return hashlib.sha256(repr(sorted(asdict(self).items())).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Request:
    """One answer wanted: the conversation, which of its K samples this is, and the intervention, if any."""

    messages: tuple[Message, ...]
    sample: int = 0
    intervention: Intervention | None = None

    def key(self, engine: str, sampling: Sampling) -> str:
        """Content key: model fingerprint, conversation, sampling, sample index and intervention. It also seeds the sample."""
        digest = self.intervention.digest if self.intervention else ""
        parts = (engine, messages_key(self.messages), sampling.key, str(self.sample), digest)
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:40]


@dataclass(frozen=True)
class Conversation:
    """A conversation with its reply, to be scored under an intervention."""

    messages: tuple[Message, ...]
    reply: str
    intervention: Intervention | None = None


@dataclass(frozen=True)
class Scores:
    """Teacher-forced log-probabilities of replies.

    Attributes:
        total: sum over each reply's tokens [n], nats, float64.
        tokens: how many tokens each reply has [n], float64.
    """

    total: Tensor
    tokens: Tensor

    @property
    def mean(self) -> Tensor:
        """Nats per token [n]."""
        return self.total / self.tokens


class Engine(Protocol):
    """Generates, scores and captures with one model."""

    @property
    def name(self) -> str:
        """What the model is called in tables."""

    @property
    def fingerprint(self) -> str:
        """Hash of the weights."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """One completion for each request, in their order; the same request always gets the same."""

    def score(self, conversations: Sequence[Conversation]) -> Scores:
        """Teacher-forced log-probability of each reply."""

    def capture(self, conversations: Sequence[Sequence[Message]]) -> Tensor:
        """Residual stream [n, layers, width] after every layer at the last prompt token, float32.

        Raises:
            ActivationError: an activation is not finite; the message tells which conversation's.
        """

    def next_token_logprobs(self, texts: Sequence[str], tokens: Sequence[int]) -> Tensor:
        """Log-probabilities [n, len(tokens)] of the given next tokens after each text, float64."""


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Successive slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
