"""Tables on the terminal that a newcomer understands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

VERDICT_SENTENCES = {
    "selected": "A configuration was found that answers sensitive prompts while harmful requests stay refused.",
    "no_safe_configuration": (
        "No configuration answers sensitive prompts while safety and benign answers are kept. Nothing was selected."
    ),
    "leave_it_alone": "The model refuses too few sensitive prompts to gain anything: leave it alone.",
}


def show_summary(summary: dict[str, Any], path: Path) -> None:
    """The verdict, the configuration, and every condition's shares on the test split."""
    console = Console()
    console.print(f"\n[bold]{VERDICT_SENTENCES[summary['verdict']]}[/bold]")
    selected = summary["selected"]
    if selected:
        console.print(
            f"{selected['estimator']} vector, {selected['mode']}, strength {selected['strength']:g}, "
            f"after layers {', '.join(map(str, selected['layers']))}"
        )
    show_tables(summary["test"], "condition")
    console.print("Shares in %, 95 % interval in brackets. 'truthful' is answered with every fact of the reference.")
    console.print(f"Test split, judge: {summary['judge']}. Report: {path / 'report.html'}\n")


def show_tables(tables: dict[str, Any], first: str) -> None:
    """One row for each (condition or split, kind of prompt)."""
    table = Table(show_header=True, header_style="bold")
    table.add_column(first)
    table.add_column("prompts")
    for name in ("n", "refused", "answered", "truthful", "broken"):
        table.add_column(name, justify="right")
    for place, (condition, kinds) in enumerate(tables.items()):
        if place:
            table.add_section()
        for index, (kind, row) in enumerate(kinds.items()):
            broken = row["degenerate"]["rate"] + row["unfinished"]["rate"] + row["unjudged"]["rate"]
            table.add_row(
                condition if index == 0 else "",
                kind,
                str(row["n"]),
                percent(row["refused"]),
                percent(row["answered"]),
                percent(row["truthful"]) if row["truthful"] else "-",
                f"{100 * broken:.1f}",
            )
    Console().print(table)


def show_decision(decision: dict[str, Any]) -> None:
    """The verdict of selection and the candidates that were measured in full."""
    console = Console()
    console.print(f"\n[bold]{VERDICT_SENTENCES[decision['verdict']]}[/bold]")
    table = Table(show_header=True, header_style="bold")
    for name in ("candidate", "sensitive answered", "benign lost", "harmful answered <=", "refusals lost <=", "shift", "safe"):
        table.add_column(name, justify="left" if name == "candidate" else "right")
    for row in decision["frontier"]:
        chosen = row["candidate"] == decision["selected"]
        table.add_row(
            row["name"],
            percent(row["success"]),
            f"{100 * row['benign_fall']:.1f}",
            f"{100 * row['answered_bound']:.1f}",
            f"{100 * row['refused_bound']:.1f}",
            f"{row['shift']:.3f}",
            "yes" if row["safe"] else "no",
            style="bold green" if chosen else None,
        )
    console.print(table)


def percent(rate: dict[str, float]) -> str:
    """A rate with its interval, in per cent."""
    return f"{100 * rate['rate']:.1f} [{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]"
