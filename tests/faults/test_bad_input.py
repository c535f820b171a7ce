"""What a user does wrong gives one line on standard error, a non-zero exit status, and no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

COMMAND = [sys.executable, "-m", "refusal_steering"]
GOOD = [
    {"id": f"{category}-{split}-{i}", "prompt": f"{category} {split} {i}?", "category": category, "split": split}
    for category in ("sensitive", "harmful", "facts")
    for split in ("fit", "validation", "test")
    for i in range(2)
]


def call(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def failed(done: subprocess.CompletedProcess[str], message: str, status: int | None = None) -> None:
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert message in " ".join(done.stderr.replace("│", " ").split())
    if status is not None:
        assert done.returncode == status
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1, done.stderr


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in GOOD))
    return path


@pytest.fixture
def checkpoint(tmp_path: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Path:
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("{broken\n", "line 1: not JSON"),
        ('{"id": "a", "prompt": "x"}\n', "field 'category'"),
        ("", "holds no prompts"),
        (b'{"id": "a", "prompt": "\xff", "category": "facts"}\n', "not UTF-8"),
        ('{"id": "a", "prompt": "x", "category": "facts"}\n', "no prompts of category 'sensitive' in the fit split"),
    ],
)
def test_bad_prompt_files(tmp_path: Path, rows: str | bytes, message: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(rows if isinstance(rows, bytes) else rows.encode())
    failed(call("run", "--prompts", path, "--out", tmp_path / "run"), message, status=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--estimators", "mean"], "unknown estimator 'mean'; there are md, wmd, rmd, wrmd"),
        (["--modes", "multiply"], "unknown mode 'multiply'"),
        (["--conditions", "both"], "unknown condition 'both'"),
        (["--layers", "99"], "unknown layer(s) [99]"),
        (["--judge", "nobody"], "unknown judge 'nobody'"),
        (["--judge", "http://127.0.0.1:9/v1", "--judge-model", ""], "cannot be reached"),
        (["--samples", "0"], "setting 'samples'"),
        (["--config", "none.toml"], "none.toml: no such file"),
        (["--prompts", "none.jsonl"], "none.jsonl: no such file"),
    ],
)
def test_bad_flags(tmp_path: Path, checkpoint: Path, prompts: Path, arguments: list[str], message: str) -> None:
    done = call("run", checkpoint, "--prompts", prompts, "--out", tmp_path / "run", *arguments)
    failed(done, message)
    assert done.stderr.startswith("error: ")
    assert not (tmp_path / "run").exists()


def test_an_unknown_flag_a_missing_model_and_a_run_that_is_none(tmp_path: Path, prompts: Path) -> None:
    failed(call("run", "--stength", "1"), "No such option")
    failed(call("run", tmp_path / "none", "--prompts", prompts, "--out", tmp_path / "run"), "no such model directory", status=2)
    failed(call("run", tmp_path, "--prompts", prompts, "--out", tmp_path / "run"), "the model cannot be loaded", status=6)
    failed(call("select", tmp_path / "none"), "is not a run directory", status=2)
    failed(call("report", tmp_path / "none"), "is not a run directory", status=2)
    failed(call("run", "other/model", "--out", tmp_path / "run"), "pass --prompts FILE.jsonl", status=2)


def test_a_bad_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("samples = \n")
    failed(call("run", "--config", tmp_path / "bad.toml"), "is not a readable TOML file", status=2)
    (tmp_path / "odd.toml").write_text("sample = 3\n")
    failed(call("run", "--config", tmp_path / "odd.toml"), "setting 'sample'", status=2)


def test_directories_that_cannot_be_written(tmp_path: Path, checkpoint: Path, prompts: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    failed(call("run", checkpoint, "--prompts", prompts, "--out", tmp_path / "file" / "run"), "cannot be made", status=8)
    # The kernel's own device for a full disk: writing to it fails with ENOSPC.
    failed(call("organism", "prompts", "/dev/full/prompts.jsonl"), "cannot be written", status=8)


def test_a_full_disk_stops_the_run_with_one_line(tmp_path: Path, checkpoint: Path, prompts: Path) -> None:
    limited = (
        f"ulimit -f 40; exec {' '.join(COMMAND)} run {checkpoint} --prompts {prompts} --out {tmp_path / 'run'} --judge keywords"
    )
    done = subprocess.run(["bash", "-c", f"trap '' XFSZ; {limited}"], capture_output=True, text=True, timeout=120)
    failed(done, "run.sqlite", status=8)


def test_vectors_of_another_model_stop_evaluation(tmp_path: Path, checkpoint: Path, prompts: Path) -> None:
    from refusal_steering.store import Store
    from refusal_steering.vectors import Provenance, SteeringVector

    out = tmp_path / "run"
    done = call(
        "measure", checkpoint, "--prompts", prompts, "--out", out, "--judge", "keywords", "--max-new-tokens", 4, "--samples", 1
    )
    assert done.returncode == 0, done.stderr
    directions = torch.nn.functional.normalize(torch.ones(4, 32), dim=1)
    selected = {"vector": "md", "layers": [1], "strength": -1.0, "mode": "add"}
    with Store(out) as store:
        store.set_fact(
            "decision", {"verdict": "selected", "selected": selected, "frontier": [], "layer_scores": {}, "wanted": 0.5}
        )
    path = out / "vectors" / "selected.safetensors"
    ones = torch.ones(4)
    SteeringVector(directions, torch.zeros(4, 32), ones, ones, Provenance("other", "0" * 32)).save(path)
    failed(call("evaluate", out), "fitted on other with other weights", status=2)
    SteeringVector(directions[:, :16] * 2**0.5, torch.zeros(4, 16), ones, ones, Provenance("other", "0" * 32)).save(path)
    failed(call("evaluate", out), "4 layers of width 16, the model 4 of width 32", status=2)
    path.write_bytes(path.read_bytes()[:100])
    failed(call("evaluate", out), "truncated", status=2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "holds no rows"),
        ('{"id": "a", "prompt": "x"}\n', "line 1, field 'response'"),
        ('{"id": "a", "prompt": "x", "response": 3}\n', "line 1, field 'response'"),
        ("nonsense\n", "line 1: not JSON"),
    ],
)
def test_bad_rows_for_the_judge(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "rows.jsonl").write_text(rows)
    failed(call("judge", "score", tmp_path / "rows.jsonl", "--judge", "keywords"), message, status=2)


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; from refusal_steering.cli import app; app(['run', '--help'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--estimators" in done.stdout
