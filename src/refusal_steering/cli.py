"""The command line. Nothing heavy is imported before a verb needs it, so that `--help` answers at once."""

from __future__ import annotations

import functools
import inspect
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer

from refusal_steering.config import Settings
from refusal_steering.errors import RefusalSteeringError

app = typer.Typer(
    name="refusal-steering",
    help="Measure how a language model refuses, and turn a chosen kind of refusal up or down while safety is kept.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
judge_app = typer.Typer(no_args_is_help=True, help="Judge answers.")
organism_app = typer.Typer(
    no_args_is_help=True, help="Train and export the small models whose refusals are known by construction."
)
app.add_typer(judge_app, name="judge")
app.add_typer(organism_app, name="organism")

RunArgument = Annotated[Path, typer.Argument(help="Run directory.", show_default=False)]
OutOption = Annotated[Path, typer.Option("--out", help="Run directory; a run that was stopped goes on from where it was.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file with settings.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output instead of tables.")]


def with_settings(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb one flag for every field of Settings; those that were passed reach it as `flags`."""
    fields = Settings.model_fields
    own = [p for p in inspect.signature(verb, eval_str=True).parameters.values() if p.name != "flags"]
    taken = {p.name for p in own}
    extra = []
    for name, field in fields.items():
        if name in taken:
            continue
        kind: Any = field.annotation
        if get_origin(kind) is not list:
            kind = next((t for t in get_args(kind) if t is not type(None)), kind)
        default = "" if field.default is None else f" [default: {field.default}]"
        names = [] if kind is bool else [f"--{name.replace('_', '-')}"]
        option = typer.Option(*names, help=f"{field.description}{default}", show_default=False)
        extra.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option])
        )

    @functools.wraps(verb)
    def wrapper(**given: Any) -> None:
        flags = {name: given.pop(name) for name in [p.name for p in extra]}
        verb(**given, flags={name: value for name, value in flags.items() if value not in (None, [])})

    wrapper.__signature__ = inspect.Signature([*own, *extra])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in [*own, *extra]}
    return wrapper


@app.command("run")
@with_settings
def run_verb(
    *,
    model: Annotated[
        str | None, typer.Argument(help="Checkpoint directory, hub name, or 'organism'.", show_default=False)
    ] = None,
    out: OutOption = Path("runs/run"),
    config: ConfigOption = None,
    as_json: JsonOption = False,
    flags: Any = None,
) -> None:
    """Measure, fit, select, evaluate and report: the main job, in one go."""
    with _opened(_settings(model, config, flags), out) as run:
        run.measure()
        run.select()
        summary = run.evaluate()
        _report(run.store.path)
        _print(summary, as_json, run.store.path)
        run.require_selected()


@app.command("measure")
@with_settings
def measure_verb(
    *,
    model: Annotated[
        str | None, typer.Argument(help="Checkpoint directory, hub name, or 'organism'.", show_default=False)
    ] = None,
    out: OutOption = Path("runs/run"),
    config: ConfigOption = None,
    as_json: JsonOption = False,
    flags: Any = None,
) -> None:
    """Sample answers to the fit and validation prompts and judge them."""
    with _opened(_settings(model, config, flags), out) as run:
        tables = run.measure()
        if as_json:
            typer.echo(json.dumps({"measured": tables}))
        else:
            from refusal_steering.report.terminal import show_tables

            show_tables(tables)


@app.command("fit")
@with_settings
def fit_verb(*, run_directory: RunArgument, as_json: JsonOption = False, flags: Any = None) -> None:
    """Fit the vectors of a measured run."""
    with _reopened(run_directory, flags) as run:
        vectors = run.fit()
        found = {name: {"refused": v.provenance.refused, "answered": v.provenance.answered} for name, v in vectors.items()}
        if as_json:
            typer.echo(json.dumps({"vectors": found}))
        elif not found:
            typer.echo("The model refuses too few sensitive prompts to fit a vector: leave it alone.")
        for name, counts in found.items() if not as_json else ():
            typer.echo(f"{name}: {counts['refused']} refused against {counts['answered']} answered prompts")


@app.command("select")
@with_settings
def select_verb(*, run_directory: RunArgument, as_json: JsonOption = False, flags: Any = None) -> None:
    """Choose layers, strength and mode on validation, under the safety constraint. Exit status 3 if none is safe."""
    with _reopened(run_directory, flags) as run:
        decision = run.select()
        if as_json:
            typer.echo(json.dumps(decision))
        else:
            from refusal_steering.report.terminal import show_decision

            show_decision(decision)
        run.require_selected()


@app.command("evaluate")
@with_settings
def evaluate_verb(*, run_directory: RunArgument, as_json: JsonOption = False, flags: Any = None) -> None:
    """Answer the test prompts, base and steered, and write summary.json."""
    with _reopened(run_directory, flags) as run:
        summary = run.evaluate()
        _print(summary, as_json, run.store.path)
        run.require_selected()


@app.command("report")
def report_verb(*, run_directory: RunArgument, as_json: JsonOption = False) -> None:
    """Write report.html from what the run directory holds."""
    path = _report(run_directory)
    typer.echo(json.dumps({"report": str(path)}) if as_json else f"report: {path}")


@app.command("config")
def config_verb() -> None:
    """Print the default settings as a TOML file for --config, each with what it means."""
    typer.echo(Settings.read().as_toml(), nl=False)


@judge_app.command("score")
def judge_score(
    file: Annotated[Path, typer.Argument(help="JSONL with id, prompt and response on each line.", show_default=False)],
    judge: Annotated[str, typer.Option(help="'bundled', 'keywords', a checkpoint directory, or an endpoint's URL.")] = "bundled",
    judge_model: Annotated[str | None, typer.Option(help="Model to ask at the endpoint.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge given answers, in the order given."""
    from refusal_steering.judging.rows import read_rows

    rows = read_rows(file)
    _quiet()
    from refusal_steering.judging import judge_items
    from refusal_steering.workflow import load_judge

    verdicts = judge_items(load_judge(Settings.read(judge=judge, judge_model=judge_model)), [item for _, item in rows])
    scored = [
        {"id": row_id, "outcome": v.outcome, "score": v.score, "kind": v.kind}
        for (row_id, _), v in zip(rows, verdicts, strict=True)
    ]
    if as_json:
        typer.echo(json.dumps({"rows": scored}))
        return
    for row in scored:
        score = "" if row["score"] is None else f"{row['score']:+.3f}"
        typer.echo(f"{row['id']}\t{row['outcome']}\t{score}\t{row['kind'] or ''}")


@organism_app.command("train")
def organism_train(
    out: Annotated[Path, typer.Option(help="Where the checkpoint goes.")] = Path("organism"),
    seed: Annotated[int, typer.Option(help="Seed of the world, the weights and the examples.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Fewer steps, to try it out.", show_default=False)] = None,
) -> None:
    """Train the organism from a seed (under half an hour on two cores)."""
    _quiet()
    from refusal_steering.organism.bundle import save_checkpoint
    from refusal_steering.organism.recipe import SCHEDULE, train_organism

    with _Progress() as progress:
        schedule = replace(SCHEDULE, steps=steps or SCHEDULE.steps)
        model, tokenizer, _ = train_organism(seed, schedule, _training(progress, schedule.steps))
    save_checkpoint(model, tokenizer, out)
    typer.echo(f"organism: {out}")


@organism_app.command("train-judge")
def organism_train_judge(
    organism: Annotated[Path, typer.Option(help="Checkpoint of the organism whose replies the judge learns to read.")],
    out: Annotated[Path, typer.Option(help="Where the checkpoint goes.")] = Path("judge"),
    seed: Annotated[int, typer.Option(help="Seed of the organism's world, the weights and the examples.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Fewer steps, to try it out.", show_default=False)] = None,
    replies: Annotated[int, typer.Option(min=1, help="Replies of the organism to learn from.")] = 16_000,
) -> None:
    """Train the bundled judge on replies of an organism, steered at random, and on made-up ones."""
    _quiet()
    from refusal_steering.engines import TransformersEngine
    from refusal_steering.organism.bundle import save_checkpoint
    from refusal_steering.organism.judge_recipe import SCHEDULE, train_judge
    from refusal_steering.organism.observe import observe
    from refusal_steering.organism.world import World

    world = World(seed)
    with _Progress() as progress:
        engine = TransformersEngine.load(str(organism), device="cpu", batch_size=128)
        observed = observe(engine, world, seed, progress, replies)
        schedule = replace(SCHEDULE, steps=steps or SCHEDULE.steps)
        model, tokenizer = train_judge(str(organism), world, observed, seed, schedule, _training(progress, schedule.steps))
    save_checkpoint(model, tokenizer, out)
    typer.echo(f"judge: {out}")


@organism_app.command("prompts")
def organism_prompts(
    out: Annotated[Path, typer.Argument(help="JSONL file to write.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Seed of the world.")] = 0,
) -> None:
    """Write the prompts of the world with references and splits, in the form that `run --prompts` takes."""
    from refusal_steering.files import write_atomically
    from refusal_steering.organism.world import World

    rows = [
        {
            "id": p.id,
            "prompt": p.question,
            "category": p.category,
            "reference": list(p.reference),
            "split": p.split,
            "source": p.source,
        }
        for p in World(seed).prompts()
    ]
    write_atomically(out, "".join(json.dumps(row) + "\n" for row in rows))
    typer.echo(f"{len(rows)} prompts: {out}")


def main() -> None:
    """The entry point: errors a user meets are one line and an exit status, never a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        app()
    except RefusalSteeringError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_status)


def _settings(model: str | None, config: Path | None, flags: dict[str, Any]) -> Settings:
    return Settings.read(config, model=model, **flags)


class _Progress:
    """A progress bar with the time left, on standard error so that standard output stays clean."""

    def __enter__(self) -> Callable[[int, int, str], None]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            # Without a terminal only finished lines are shown, not every redraw.
            disable=not console.is_terminal,
        )
        self._plain = None if console.is_terminal else console
        self._tasks: dict[str, Any] = {}
        self._bar.start()
        return self._update

    def _update(self, done: int, total: int, label: str) -> None:
        if self._plain is not None:
            # Work that the run directory already holds is passed through again at once; it is told of once.
            if done == total and label not in self._tasks:
                self._tasks[label] = None
                self._plain.print(f"{label}: done", highlight=False)
            return
        if label not in self._tasks:
            self._tasks[label] = self._bar.add_task(label, total=total)
        self._bar.update(self._tasks[label], completed=done, total=total)

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()


class _opened:
    """A run for the length of a verb, with its progress bar."""

    def __init__(self, settings: Settings, out: Path) -> None:
        self._make: Callable[[Callable[[int, int, str], None]], Any] = lambda progress: _run_class()(out, settings, progress)

    def __enter__(self) -> Any:
        self._bar = _Progress()
        progress = self._bar.__enter__()
        try:
            self._run = self._make(progress)
        except BaseException:
            self._bar.__exit__()
            raise
        return self._run

    def __exit__(self, *exc: object) -> None:
        self._bar.__exit__(*exc)
        self._run.store.close()
        if exc[0] is KeyboardInterrupt:
            sys.stderr.write("stopped; the same command goes on from here\n")


class _reopened(_opened):
    """A run directory opened again with its own settings, changed by flags."""

    def __init__(self, path: Path, flags: dict[str, Any]) -> None:
        self._make = lambda progress: _run_class().reopen(path, progress, **flags)


def _quiet() -> None:
    """Keep the progress bars and notes of transformers out of ours; its errors are reported as ours."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()


def _run_class() -> Any:
    _quiet()
    from refusal_steering.workflow import Run

    return Run


def _report(path: Path) -> Path:
    from refusal_steering.report import write_report
    from refusal_steering.store import Store

    with Store(path, must_exist=True) as store:
        return write_report(store)


def _print(summary: dict[str, Any], as_json: bool, path: Path) -> None:
    if as_json:
        typer.echo(json.dumps(summary))
        return
    from refusal_steering.report.terminal import show_summary

    show_summary(summary, path)


def _training(progress: Callable[[int, int, str], None], steps: int) -> Callable[[int, float], None]:
    return lambda step, loss: progress(step, steps, "training")
