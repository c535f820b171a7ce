"""report.html: one page that needs nothing from anywhere else."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from refusal_steering.errors import InputError
from refusal_steering.files import write_atomically
from refusal_steering.report.terminal import VERDICT_SENTENCES, percent
from refusal_steering.store import Store

matplotlib.use("svg")
from matplotlib import pyplot as plt

# Okabe-Ito colours, told apart by the colour-blind too.
CONDITION_COLOURS = {"base": "#000000", "prompting": "#E69F00", "steering": "#0072B2", "prompting+steering": "#CC79A7"}


def write_report(store: Store) -> Path:
    """Write report.html from what the run directory holds.

    Raises:
        InputError: the run has not been evaluated yet.
    """
    decision, tests, model = store.fact("decision"), store.fact("test"), store.fact("model")
    if decision is None or tests is None:
        raise InputError(f"{store.path}: has not been evaluated yet; run `refusal-steering evaluate {store.path}` first")
    environment = Environment(
        loader=PackageLoader("refusal_steering", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    kinds = list(next(iter(tests.values())))
    html = environment.get_template("page.html.jinja").render(
        sentence=VERDICT_SENTENCES[decision["verdict"]],
        decision=decision,
        model=model,
        tests=tests,
        kinds=kinds,
        headline=_headline(tests),
        rates_plot=_rates_plot(tests, kinds),
        frontier_plot=_frontier_plot(decision) if decision["frontier"] else None,
        layers_plot=_layers_plot(decision) if decision["layer_scores"] else None,
        examples=store.fact("examples") or [],
        settings=json.dumps(store.fact("settings"), indent=2),
    )
    path = store.path / "report.html"
    write_atomically(path, html)
    return path


def _headline(tests: dict[str, Any]) -> list[dict[str, str]]:
    """The numbers of the first sentence: sensitive answered and harmful answered, base against steering."""
    if "steering" not in tests or "base" not in tests:
        return []
    wanted = (("sensitive", "Sensitive prompts answered"), ("harmful", "Harmful requests refused"))
    lines = []
    for kind, label in wanted:
        if kind not in tests["base"]:
            continue
        base, steered = tests["base"][kind], tests["steering"][kind]
        name = "refused"
        if kind == "sensitive":
            name = "truthful" if base["truthful"] and steered["truthful"] else "answered"
            label = "Sensitive prompts answered with the truth" if name == "truthful" else label
        lines.append({"label": label, "base": percent(base[name]), "steered": percent(steered[name]), "n": str(steered["n"])})
    return lines


def _rates_plot(tests: dict[str, Any], kinds: list[str]) -> Markup:
    """Share answered (truthfully, where known) per kind and condition, with intervals."""
    figure, axes = plt.subplots(figsize=(6.4, 0.5 + 0.22 * len(kinds) * (len(tests) + 1)))
    ticks = []
    for group, kind in enumerate(kinds):
        for place, condition in enumerate(tests):
            row = tests[condition][kind]
            rate = row["truthful"] or row["answered"]
            y = group * (len(tests) + 1) + place
            axes.errorbar(
                100 * rate["rate"],
                y,
                xerr=[[max(0.0, 100 * (rate["rate"] - rate["low"]))], [max(0.0, 100 * (rate["high"] - rate["rate"]))]],
                fmt="os^D"[place % 4],
                color=CONDITION_COLOURS[condition],
                capsize=2,
                label=condition if group == 0 else None,
            )
        ticks.append(group * (len(tests) + 1) + (len(tests) - 1) / 2)
    axes.set_yticks(ticks, kinds)
    axes.invert_yaxis()
    axes.set_xlim(-3, 103)
    axes.set_xlabel("answered, truthfully where that is known (% of prompts, 95 % interval)")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return _svg(figure, "Share of prompts answered for every kind of prompt and condition")


def _frontier_plot(decision: dict[str, Any]) -> Markup:
    """Every candidate measured in full: what it answers against how far it shifts benign answers, and whether it is safe."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    for row in decision["frontier"]:
        chosen = row["candidate"] == decision["selected"]
        axes.plot(
            row["shift"],
            100 * row["success"]["rate"],
            "o" if row["safe"] else "x",
            color="#0072B2" if row["safe"] else "#D55E00",
            markersize=11 if chosen else 6,
            markeredgecolor="black" if chosen else None,
        )
    axes.set_xlabel("shift of benign answers (nats per token)")
    axes.set_xlim(0, 1.15 * max(row["shift"] for row in decision["frontier"]) + 1e-3)
    axes.set_ylabel("sensitive prompts answered (%)")
    axes.set_ylim(-3, 103)
    axes.grid(alpha=0.3)
    axes.plot([], [], "o", color="#0072B2", label="safe")
    axes.plot([], [], "x", color="#D55E00", label="not safe")
    axes.plot([], [], "o", color="#0072B2", markeredgecolor="black", markersize=11, label="selected")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return _svg(figure, "Candidates measured on validation: sensitive prompts answered against the shift of benign answers")


def _layers_plot(decision: dict[str, Any]) -> Markup:
    """Layer scores of every vector on validation."""
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    for place, (name, scores) in enumerate(decision["layer_scores"].items()):
        axes.plot(range(len(scores)), scores, marker="os^DvP*X"[place % 8], markersize=4, linewidth=1, label=name)
    axes.set_xlabel("layer")
    axes.set_ylabel("correlation minus error")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return _svg(figure, "Layer scores of every vector on validation data")


def _svg(figure: Any, title: str) -> Markup:
    figure.set_layout_engine("constrained")
    buffer = io.StringIO()
    # A fixed salt makes the ids in the file, and so the page, the same in every run.
    with matplotlib.rc_context({"svg.hashsalt": "refusal-steering", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    plt.close(figure)
    svg = buffer.getvalue()[buffer.getvalue().index("<svg") :]
    head = re.sub(r'\s(width|height)="[^"]*"', "", svg[: svg.index(">")])
    # Matplotlib's black is the page's text colour, which is light in dark mode.
    body = svg[svg.index(">") :].replace("#000000", "currentColor")
    return Markup(f'{head} role="img" aria-label="{title}"{body}')
