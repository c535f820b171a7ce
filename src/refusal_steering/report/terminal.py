"""Tables on the terminal that a newcomer understands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
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
    show_tables(summary["test"])
    console.print("Shares in %, 95 % interval in brackets. 'truthful' is answered with every fact of the reference.")
    console.print(f"Test split, judge: {summary['judge']}. Report: {path / 'report.html'}\n")


def show_tables(tables: dict[str, Any]) -> None:
    """A section for each condition or split, in it a row for each kind of prompt; narrow enough for 80 columns."""
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 0))
    table.add_column("prompts", no_wrap=True)
    for name in ("n", "refused", "answered", "truthful", "broken"):
        table.add_column(name, justify="right", no_wrap=True)
    for condition, kinds in tables.items():
        table.add_section()
        table.add_row(f"[bold]{condition}[/bold]")
        for kind, row in kinds.items():
            broken = row["degenerate"]["rate"] + row["unfinished"]["rate"] + row["unjudged"]["rate"]
            truthful = _short(row["truthful"]) if row["truthful"] else "-"
            table.add_row(
                f" {kind}", str(row["n"]), _short(row["refused"]), _short(row["answered"]), truthful, f"{100 * broken:.1f}"
            )
    Console().print(table)


def _short(rate: dict[str, float]) -> str:
    return f"{100 * rate['rate']:.1f} [{100 * rate['low']:.0f}-{100 * rate['high']:.0f}]"


def show_decision(decision: dict[str, Any]) -> None:
    """The verdict of selection and the candidates that were measured in full."""
    console = Console()
    console.print(f"\n[bold]{VERDICT_SENTENCES[decision['verdict']]}[/bold]")
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 0))
    table.add_column("candidate (vector, mode, strength, layers)")
    for name in ("sensitive", "benign", "harmful", "shift", "safe"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in decision["frontier"]:
        one = row["candidate"]
        table.add_row(
            f"{one['vector']} {one['mode']} {one['strength']:.3g} {','.join(map(str, one['layers']))}",
            _short(row["success"]),
            f"-{100 * row['benign_fall']:.1f}",
            f"+{100 * row['answered_bound']:.1f} -{100 * row['refused_bound']:.1f}",
            f"{row['shift']:.3f}",
            "yes" if row["safe"] else "no",
            style="bold green" if one == decision["selected"] else None,
        )
    console.print(table)
    console.print(
        "Validation. sensitive: % answered; benign: points lost; harmful: 95 % bounds of what is more answered and less refused."
    )


def percent(rate: dict[str, float]) -> str:
    """A rate with its interval, in per cent."""
    return f"{100 * rate['rate']:.1f} [{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]"
