"""Reading prompts from a file: JSONL, CSV or plain text, with errors that name the file, the row and the field."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refusal_steering.errors import InputError
from refusal_steering.prompts.prompt import Message, Prompt, PromptSet, Split, split_of

Filled = Annotated[str, Field(min_length=1)]


class _MessageRow(BaseModel):
    role: Filled
    content: Filled


class _PromptRow(BaseModel):
    """One row of a prompt file. Fields it does not name are ignored, so that richer files load as they are."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: Filled
    prompt: Filled | Annotated[list[_MessageRow], Field(min_length=1)]
    category: Filled
    reference: list[Filled] = Field(default_factory=list)
    split: Split | None = None
    source: Filled | None = None


def load_prompts(path: Path) -> PromptSet:
    """The prompts of a `.jsonl` or `.csv` file with the fields id, prompt, category and, optionally, reference, split and source.

    `prompt` is a text or, in JSONL, a list of chat messages. In CSV `reference` is a JSON list or one string.

    Raises:
        InputError: the file is missing, not UTF-8 or empty, or one of its rows lacks a field or has a wrong one.
    """
    text = _read_text(path)
    rows = _csv_rows(path, text) if path.suffix.lower() == ".csv" else _jsonl_rows(path, text)
    prompts = tuple(_prompt(path, number, row) for number, row in rows)
    if not prompts:
        raise InputError(f"{path}: holds no prompts; it needs at least one row with id, prompt and category")
    try:
        return PromptSet(prompts)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_jsonl(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with their line numbers. Raises InputError naming the line that is not an object."""
    return _jsonl_rows(path, _read_text(path))


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: not UTF-8 (byte 0x{raw[error.start]:02x}); save the file as UTF-8") from None


def _jsonl_rows(path: Path, text: str) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    # Only a newline ends a row: str.splitlines would also cut at U+2028 inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            detail = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
            raise InputError(f"{path}, line {number}: not JSON ({detail}); each line is one object") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: is not a JSON object")
        rows.append((number, row))
    return rows


def _csv_rows(path: Path, text: str) -> list[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = {"id", "prompt", "category"} - set(reader.fieldnames or ())
    if missing:
        raise InputError(f"{path}: the header lacks the column(s) {', '.join(sorted(missing))}")
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise InputError(f"{path}, line {reader.line_num}: has another number of columns than the header")
        filled: dict[str, Any] = {name: value for name, value in row.items() if value != ""}
        if "reference" in filled:
            filled["reference"] = _csv_reference(filled["reference"])
        rows.append((reader.line_num, filled))
    return rows


def _csv_reference(cell: str) -> list[Any]:
    try:
        parsed = json.loads(cell)
    except ValueError:
        return [cell]
    return parsed if isinstance(parsed, list) else [cell]


def _prompt(path: Path, number: int, raw: dict[str, Any]) -> Prompt:
    try:
        row = _PromptRow.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = first["loc"][0] if first["loc"] else "row"
        raise InputError(f"{path}, line {number}, field {field!r}: {first['msg'].lower()}") from None
    if isinstance(row.prompt, str):
        messages: tuple[Message, ...] = (Message("user", row.prompt),)
    else:
        messages = tuple(Message(m.role, m.content) for m in row.prompt)
    if messages[-1].role != "user":
        raise InputError(f"{path}, line {number}, field 'prompt': the last message must be the user's")
    return Prompt(
        id=row.id,
        messages=messages,
        category=row.category,
        source=row.source or path.name,
        split=row.split or split_of(messages),
        reference=tuple(row.reference),
    )
