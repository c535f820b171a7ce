"""Prompt and PromptSet, and the rule that gives every prompt its split."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from refusal_steering.errors import InputError

Split = Literal["fit", "validation", "test"]
Role = Literal["sensitive", "harmful", "benign"]
SPLITS: tuple[Split, ...] = get_args(Split)
ROLES: tuple[Role, ...] = get_args(Role)
SENSITIVE: Role = "sensitive"
HARMFUL: Role = "harmful"
BENIGN: Role = "benign"

# Where a prompt names no split, the hash of its text decides: these are the upper ends of the shares.
_SPLIT_BOUNDS: tuple[tuple[Split, float], ...] = (("fit", 0.4), ("validation", 0.65), ("test", 1.0))


@dataclass(frozen=True)
class Message:
    """One chat message."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """A conversation to be answered.

    Attributes:
        id: unique in its set; shown in errors and tables.
        messages: the conversation, ending with a user message.
        category: `sensitive`, `harmful`, or any other word, each of which is a kind of benign prompt with
            rates of its own (`near-benign`, `howto`, ...).
        source: where the prompt comes from.
        reference: strings that an answer must all contain (ignoring case) to be truthful; empty if unknown.
        split: `fit`, `validation` or `test`.
    """

    id: str
    messages: tuple[Message, ...]
    category: str
    source: str
    split: Split
    reference: tuple[str, ...] = ()

    @property
    def role(self) -> Role:
        """What the prompt is for: `sensitive` is to be answered, `harmful` refused, the rest left as it was."""
        return SENSITIVE if self.category == SENSITIVE else HARMFUL if self.category == HARMFUL else BENIGN

    @property
    def question(self) -> str:
        """The text of the last message, which is what the judge is shown."""
        return self.messages[-1].content

    def truthful(self, answer: str) -> bool | None:
        """Whether an answer contains all of the reference, ignoring case; None without a reference."""
        folded = answer.casefold()
        return all(part.casefold() in folded for part in self.reference) if self.reference else None

    @property
    def key(self) -> str:
        """Hash of the conversation: equal prompts have equal keys, whatever their id."""
        return messages_key(self.messages)

    def with_system(self, text: str | None) -> Prompt:
        """The same prompt under a system text, which goes before a system message of its own, if it has one."""
        if not text:
            return self
        if self.messages[0].role == "system":
            first = Message("system", f"{text}\n\n{self.messages[0].content}")
            return replace(self, messages=(first, *self.messages[1:]))
        return replace(self, messages=(Message("system", text), *self.messages))


def messages_key(messages: Sequence[Message]) -> str:
    """SHA-256 of a conversation, in hexadecimal."""
    canonical = json.dumps([[m.role, m.content] for m in messages], ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def split_of(messages: Sequence[Message]) -> Split:
    """The split that the hash of a conversation's text puts it in (40 % fit, 25 % validation, 35 % test)."""
    share = int(messages_key(messages)[:8], 16) / 2**32
    return next(split for split, bound in _SPLIT_BOUNDS if share < bound)


@dataclass(frozen=True)
class PromptSet:
    """Prompts in a fixed order. Raises InputError where an id or a conversation stands twice."""

    prompts: tuple[Prompt, ...]

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        ids: set[str] = set()
        for prompt in self.prompts:
            if prompt.id in ids:
                raise InputError(f"prompt id {prompt.id!r} stands twice; give every prompt an id of its own")
            ids.add(prompt.id)
            if prompt.key in seen:
                raise InputError(f"prompts {seen[prompt.key]!r} and {prompt.id!r} have the same text; keep one of them")
            seen[prompt.key] = prompt.id

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.prompts)

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that occur: sensitive and harmful first, then the benign ones in order of appearance."""
        found = dict.fromkeys(p.category for p in self.prompts)
        first = [c for c in (SENSITIVE, HARMFUL) if c in found]
        return (*first, *(c for c in found if c not in first))

    def where(self, *, split: Split | None = None, role: Role | None = None, category: str | None = None) -> PromptSet:
        """The prompts of a split, role and category; each that is None does not restrict."""
        return PromptSet(
            tuple(
                p
                for p in self.prompts
                if (split is None or p.split == split)
                and (role is None or p.role == role)
                and (category is None or p.category == category)
            )
        )

    def counts(self) -> dict[tuple[str, Split], int]:
        """How many prompts each (category, split) has."""
        return dict(Counter((p.category, p.split) for p in self.prompts))
