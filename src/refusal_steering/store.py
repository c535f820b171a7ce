"""The run directory: SQLite with one transaction per batch, rows keyed by content, and files beside it.

The same work is never done twice and two settings never share a row: a completion's key holds the model's
fingerprint, the conversation, the sampling, the sample index and the intervention.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from refusal_steering.errors import InputError, StoreError
from refusal_steering.prompts import Message, Prompt, PromptSet
from refusal_steering.records import Completion, Verdict

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS prompts (
    place INTEGER PRIMARY KEY, id TEXT NOT NULL, key TEXT NOT NULL, category TEXT NOT NULL, split TEXT NOT NULL,
    source TEXT NOT NULL, messages TEXT NOT NULL, reference TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS completions (
    key TEXT PRIMARY KEY, text TEXT NOT NULL, thinking TEXT, answer TEXT NOT NULL, logprob REAL NOT NULL,
    tokens INTEGER NOT NULL, finish TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verdicts (
    completion TEXT NOT NULL, judge TEXT NOT NULL, outcome TEXT NOT NULL, score REAL, kind TEXT, raw TEXT NOT NULL,
    PRIMARY KEY (completion, judge)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trials (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS activations (key TEXT PRIMARY KEY, file TEXT NOT NULL) WITHOUT ROWID;
"""
FORMAT = 1


class Store:
    """A run directory, opened for writing; made if it is not there.

    Raises:
        StoreError: the directory cannot be made or written, or its file is not a run of this version.
    """

    def __init__(self, path: Path, must_exist: bool = False) -> None:
        self.path = path
        if must_exist and not (path / "run.sqlite").is_file():
            raise InputError(f"{path}: is not a run directory (it has no run.sqlite); `refusal-steering measure` makes one")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: the run directory cannot be made ({error.strerror})") from error
        with self._reported():
            self._connection = sqlite3.connect(path / "run.sqlite", timeout=30.0)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_SCHEMA)
            self._connection.execute("INSERT OR IGNORE INTO facts VALUES ('format', ?)", (str(FORMAT),))
            self._connection.commit()
        if self.fact("format") != FORMAT:
            raise StoreError(f"{path}: was written by another version of this program; use a new run directory")

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path / 'run.sqlite'}: {error} (is the disk full, or the directory not writable?)") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reported(), self._connection:
            yield self._connection

    def fact(self, name: str) -> Any:
        """A named JSON value of the run, or None."""
        with self._reported():
            row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def set_fact(self, name: str, value: Any) -> None:
        """Store a named JSON value."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))

    def set_prompts(self, prompts: PromptSet) -> None:
        """Store the run's prompts, replacing what was there."""
        rows = [
            (
                place,
                p.id,
                p.key,
                p.category,
                p.split,
                p.source,
                json.dumps([asdict(m) for m in p.messages]),
                json.dumps(p.reference),
            )
            for place, p in enumerate(prompts)
        ]
        with self._transaction() as connection:
            connection.execute("DELETE FROM prompts")
            connection.executemany("INSERT INTO prompts VALUES (?,?,?,?,?,?,?,?)", rows)

    def prompts(self) -> PromptSet:
        """The run's prompts, in their order."""
        with self._reported():
            rows = self._connection.execute(
                "SELECT id, category, split, source, messages, reference FROM prompts ORDER BY place"
            ).fetchall()
        return PromptSet(
            tuple(
                Prompt(
                    id=row[0],
                    category=row[1],
                    split=row[2],
                    source=row[3],
                    messages=tuple(Message(**m) for m in json.loads(row[4])),
                    reference=tuple(json.loads(row[5])),
                )
                for row in rows
            )
        )

    def completions(self, keys: Sequence[str]) -> dict[str, Completion]:
        """Those of the completions that are there."""
        rows = self._select("SELECT * FROM completions WHERE key IN ({})", keys)
        return {row[0]: Completion(*row[1:]) for row in rows}

    def add_completions(self, rows: Mapping[str, Completion]) -> None:
        """Store a batch of completions, all or none."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO completions VALUES (?,?,?,?,?,?,?) ON CONFLICT (key) DO NOTHING",
                [(k, c.text, c.thinking, c.answer, c.logprob, c.tokens, c.finish) for k, c in rows.items()],
            )

    def verdicts(self, keys: Sequence[str], judge: str) -> dict[str, Verdict]:
        """Those of a judge's verdicts that are there, by completion."""
        rows = self._select(
            "SELECT completion, outcome, score, kind, raw FROM verdicts WHERE judge = ? AND completion IN ({})", keys, judge
        )
        return {row[0]: Verdict(*row[1:]) for row in rows}

    def add_verdicts(self, rows: Mapping[str, Verdict], judge: str) -> None:
        """Store a batch of verdicts, all or none."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO verdicts VALUES (?,?,?,?,?,?) ON CONFLICT (completion, judge) DO NOTHING",
                [(k, judge, v.outcome, v.score, v.kind, v.raw) for k, v in rows.items()],
            )

    def trial(self, key: str) -> Any:
        """What was noted about a trial of the finder, or None."""
        rows = self._select("SELECT value FROM trials WHERE key IN ({})", [key])
        return json.loads(rows[0][0]) if rows else None

    def add_trial(self, key: str, value: Any) -> None:
        """Note what a trial of the finder gave."""
        with self._transaction() as connection:
            connection.execute("INSERT INTO trials VALUES (?, ?) ON CONFLICT (key) DO NOTHING", (key, json.dumps(value)))

    def activations_file(self, key: str) -> Path | None:
        """The file of the activations with this key, if they were captured."""
        rows = self._select("SELECT file FROM activations WHERE key IN ({})", [key])
        path = self.path / rows[0][0] if rows else None
        return path if path is not None and path.is_file() else None

    def add_activations(self, key: str, file: Path) -> None:
        """Note where activations lie; the file is written before."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO activations VALUES (?, ?)", (key, str(file.relative_to(self.path))))

    def _select(self, query: str, keys: Sequence[str], *first: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        with self._reported():
            for start in range(0, len(keys), 500):
                part = keys[start : start + 500]
                marks = ",".join("?" * len(part))
                found.extend(self._connection.execute(query.format(marks), (*first, *part)).fetchall())
        return found
