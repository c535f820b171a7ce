"""Whole runs through the command line that end without a selection, each with a status and a summary of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from refusal_steering.organism.world import World


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "refusal_steering", "run", *map(str, arguments), "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})


def write_prompts(path: Path, fit: int, validation: int, test: int) -> Path:
    rows = [
        {"id": p.id, "prompt": p.question, "category": p.category, "reference": p.reference, "split": p.split}
        for p in World(0).prompts({"fit": fit, "validation": validation, "test": test})
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_removal_out_of_reach_selects_nothing_and_has_its_own_status(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 20, 12, 5)
    out = tmp_path / "run"
    sizes = ["--samples", "1", "--trials", "6", "--short-list", "2", "--tries", "0", "--finalists", "1", "--batch-size", "64"]
    # With so few harmful prompts no rise of harmful answers can be bounded below five points, whatever is tried.
    done = run("--prompts", prompts, "--out", out, *sizes)
    assert done.returncode == 3, done.stderr
    assert "nothing was selected" in done.stderr
    summary = json.loads(done.stdout)
    assert (summary["verdict"], summary["selected"]) == ("no_safe_configuration", None)
    assert set(summary["test"]) == {"base", "prompting"}
    assert not (out / "vectors" / "selected.safetensors").exists()
    assert "No configuration" in (out / "report.html").read_text()
    assert json.loads((out / "summary.json").read_text()) == summary
    # Every vector that was considered lies there to be looked at.
    assert len(list((out / "vectors").glob("*.safetensors"))) == 10


def test_a_model_that_refuses_nothing_is_left_alone(
    tmp_path: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    prompts = write_prompts(tmp_path / "p.jsonl", 4, 4, 4)
    arguments = ["--judge", "keywords", "--samples", 1, "--max-new-tokens", 8, "--out", tmp_path / "run"]
    done = run(tmp_path / "model", "--prompts", prompts, *arguments)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["verdict"], summary["selected"], summary["model"]) == ("leave_it_alone", None, "model")
    rates = summary["test"]["base"]["sensitive"]
    assert rates["n"] == 4
    assert set(rates) == {"n", "answered", "refused", "degenerate", "unfinished", "unjudged", "truthful"}
