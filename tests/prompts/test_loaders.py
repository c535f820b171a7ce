from pathlib import Path

import pytest

from refusal_steering.errors import InputError
from refusal_steering.prompts import Message, PromptSet, load_prompts, split_of

GOOD = '{"id": "a", "prompt": "What is it?", "category": "howto", "reference": ["flour"], "split": "test", "extra": 1}\n'


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_jsonl_with_text_and_messages(tmp_path: Path) -> None:
    chat = '{"id": 7, "prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}], "category": "sensitive"}'
    found = load_prompts(write(tmp_path / "p.jsonl", "\ufeff" + GOOD + "\n" + chat))
    one, two = found
    assert (one.id, one.question, one.category, one.role, one.reference, one.split) == (
        "a",
        "What is it?",
        "howto",
        "benign",
        ("flour",),
        "test",
    )
    assert (two.id, two.messages) == ("7", (Message("system", "S"), Message("user", "U")))
    assert two.split == split_of(two.messages)


def test_csv_with_quotes_and_references(tmp_path: Path) -> None:
    text = 'id,prompt,category,reference\n1,"Why, and\nhow?",harmful,\n2,What?,facts,"[""salt"", ""iron""]"\n3,Who?,facts,salt\n'
    found = load_prompts(write(tmp_path / "p.csv", text))
    assert [p.reference for p in found] == [(), ("salt", "iron"), ("salt",)]
    assert found.prompts[0].question == "Why, and\nhow?"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.jsonl", GOOD + "{broken\n", "line 2: not JSON"),
        ("p.jsonl", GOOD + "[1]\n", "line 2: is not a JSON object"),
        ("p.jsonl", '{"id": "a", "prompt": "x"}\n', "line 1, field 'category': field required"),
        ("p.jsonl", '{"id": "a", "prompt": "", "category": "facts"}\n', "line 1, field 'prompt'"),
        ("p.jsonl", '{"id": "a", "prompt": "x", "category": "facts", "split": "train"}\n', "line 1, field 'split'"),
        (
            "p.jsonl",
            '{"id": "a", "prompt": [{"role": "assistant", "content": "x"}], "category": "facts"}\n',
            "must be the user's",
        ),
        ("p.jsonl", "[" * 100_000 + "\n", "line 1: not JSON"),
        ("p.jsonl", GOOD + GOOD, "prompt id 'a' stands twice"),
        ("p.jsonl", GOOD + GOOD.replace('"a"', '"b"'), "have the same text"),
        ("p.jsonl", "\n\n", "holds no prompts"),
        ("p.csv", "id,prompt\n1,x\n", "lacks the column(s) category"),
        ("p.csv", "id,prompt,category\n1,x\n", "line 2: has another number of columns"),
        ("p.csv", "id,prompt,category\n1,,facts\n", "line 2, field 'prompt'"),
    ],
)
def test_bad_files_name_the_line_and_the_field(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(InputError) as error:
        load_prompts(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_encoding_names_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", GOOD + GOOD.replace("What", "Wh\u00e4t"), "latin-1")
    with pytest.raises(InputError, match=r"line 2: not UTF-8 \(byte 0xe4\)"):
        load_prompts(path)


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_prompts(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        load_prompts(tmp_path)


def test_splits_by_hash_have_their_shares_and_do_not_depend_on_order() -> None:
    found = [split_of((Message("user", f"question {i}"),)) for i in range(4000)]
    shares = {name: found.count(name) / 4000 for name in set(found)}
    assert shares["fit"] == pytest.approx(0.4, abs=0.03)
    assert shares["validation"] == pytest.approx(0.25, abs=0.03)
    assert shares["test"] == pytest.approx(0.35, abs=0.03)


def test_a_system_text_goes_before_the_prompts_own(tmp_path: Path) -> None:
    found = load_prompts(write(tmp_path / "p.jsonl", GOOD))
    (prompt,) = found
    assert prompt.with_system("S").messages[0] == Message("system", "S")
    assert prompt.with_system("S").with_system("T").messages[0] == Message("system", "T\n\nS")
    assert prompt.with_system(None) is prompt
    assert isinstance(found, PromptSet)
