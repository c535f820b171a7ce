from pathlib import Path

import pytest

from refusal_steering.errors import InputError, StoreError
from refusal_steering.prompts import Message, Prompt, PromptSet
from refusal_steering.records import Completion, Verdict
from refusal_steering.store import Store

ONE = Completion("text", None, "answer", -0.25, 7, "stop")


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    prompts = PromptSet(
        (
            Prompt("a", (Message("system", "S"), Message("user", "Uä")), "sensitive", "here", "fit", ("x", "y")),
            Prompt("b", (Message("user", "V"),), "facts", "there", "test"),
        )
    )
    verdict = Verdict("refused", 0.5, "vague", "raw")
    with Store(tmp_path / "run") as store:
        store.set_prompts(prompts)
        store.add_completions({"k": ONE})
        store.add_verdicts({"k": verdict}, "judge")
        store.set_fact("thing", {"a": [1, None]})
    with Store(tmp_path / "run", must_exist=True) as store:
        assert store.prompts() == prompts
        assert store.completions(["k", "other"]) == {"k": ONE}
        assert store.verdicts(["k"], "judge") == {"k": verdict}
        assert store.verdicts(["k"], "another judge") == {}
        assert store.fact("thing") == {"a": [1, None]}
        assert store.fact("nothing") is None


def test_the_same_key_is_never_two_rows(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for _ in range(2):
            store.add_completions({str(i): ONE for i in range(1200)})
        assert len(store.completions([str(i) for i in range(1200)])) == 1200
        assert store._connection.execute("SELECT count(*) FROM completions").fetchone() == (1200,)


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        good, bad = Verdict("answered", -1.0, None, "raw"), Verdict(None, None, None, "raw")  # type: ignore[arg-type]
        with pytest.raises(StoreError):
            store.add_verdicts({"a": good, "b": bad}, "judge")
        assert store.verdicts(["a", "b"], "judge") == {}


def test_what_is_no_run_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run directory"):
        Store(tmp_path / "none", must_exist=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be made"):
        Store(tmp_path / "file" / "run")
    (tmp_path / "run.sqlite").write_bytes(b"this is no database, but a text of some length" * 40)
    with pytest.raises(StoreError, match=r"run\.sqlite"):
        Store(tmp_path)
