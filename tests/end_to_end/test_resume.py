"""A run that is killed at random moments ends with the very tables of one that was not."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from refusal_steering.organism.world import World

KILLS = 20


def command(prompts: Path, out: Path) -> list[str]:
    """A small run of every step, in many small batches so that there is much to interrupt."""
    sizes = [
        "--samples=1", "--trials=8", "--short-list=2", "--tries=1", "--finalists=1", "--batch-size=24", "--max-new-tokens=32",
        "--conditions=base", "--conditions=steering",
    ]  # fmt: skip
    return [sys.executable, "-m", "refusal_steering", "run", "--prompts", str(prompts), "--out", str(out), *sizes]


def rows(out: Path) -> dict[str, list[tuple[object, ...]]]:
    with sqlite3.connect(out / "run.sqlite") as connection:
        return {
            "completions": connection.execute("SELECT key, text, logprob FROM completions ORDER BY key").fetchall(),
            "verdicts": connection.execute("SELECT * FROM verdicts ORDER BY completion, judge").fetchall(),
            "trials": connection.execute("SELECT * FROM trials ORDER BY key").fetchall(),
        }


def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    world = World(0).prompts({"fit": 12, "validation": 8, "test": 6})
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(
        "".join(
            json.dumps({"id": p.id, "prompt": p.question, "category": p.category, "reference": p.reference, "split": p.split})
            + "\n"
            for p in world
        )
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    whole = subprocess.run(command(prompts, tmp_path / "whole"), capture_output=True, text=True, env=environment)
    took = time.monotonic() - began
    assert whole.returncode in (0, 3), whole.stderr
    rng = random.Random(0)
    killed = 0
    while killed < KILLS:
        process = subprocess.Popen(
            command(prompts, tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        try:
            # The start of interpreter and models is a good part of so short a run, and is to be hit as well.
            assert process.wait(timeout=rng.uniform(0.05, 0.35) * took) == whole.returncode
            # It got through between two kills: compare, and begin anew.
            same(tmp_path / "killed", tmp_path / "whole")
            shutil.rmtree(tmp_path / "killed")
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
    last = subprocess.run(command(prompts, tmp_path / "killed"), capture_output=True, text=True, env=environment)
    assert last.returncode == whole.returncode, last.stderr
    same(tmp_path / "killed", tmp_path / "whole")


def same(one: Path, other: Path) -> None:
    """Tables, page and every row that counts are equal."""
    for name in ("summary.json", "report.html", "reproduce.toml"):
        assert (one / name).read_text() == (other / name).read_text()
    assert rows(one) == rows(other)
