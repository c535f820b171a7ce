"""Answers to be judged, read from a file."""

from __future__ import annotations

from pathlib import Path

from refusal_steering.errors import InputError
from refusal_steering.judging.judge import JudgeItem
from refusal_steering.prompts.loaders import read_jsonl


def read_rows(path: Path) -> list[tuple[str, JudgeItem]]:
    """(id, item) for each line with the texts id, prompt and response.

    Raises:
        InputError: the file cannot be read, is empty, or a row lacks a field or has one that is no text.
    """
    rows = []
    for number, row in read_jsonl(path):
        for field in ("id", "prompt", "response"):
            if not isinstance(row.get(field), (str, int) if field == "id" else str):
                raise InputError(f"{path}, line {number}, field {field!r}: a text is required")
        rows.append((str(row["id"]), JudgeItem(row["prompt"], row["response"])))
    if not rows:
        raise InputError(f"{path}: holds no rows; each line has id, prompt and response")
    return rows
