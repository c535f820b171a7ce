"""Writing files whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from refusal_steering.errors import StoreError


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write to a temporary neighbour, then rename it into place, so that a killed process leaves no half file.

    Raises:
        StoreError: the file cannot be written; the message says why.
    """
    raw = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StoreError(f"{path}: cannot be written ({error.strerror or error})") from error
