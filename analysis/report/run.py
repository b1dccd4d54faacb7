"""The report of one run: finished, interrupted or running."""

from collections import Counter
from pathlib import Path

from stackelgrid.analysis.report.page import Page, Verdict, write_report
from stackelgrid.analysis.report.run_process import known
from stackelgrid.analysis.report.run_sections import SECTIONS
from stackelgrid.analysis.results.axes import LEVELS, Clock, clock, copies
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.findings import findings, sentence
from stackelgrid.analysis.run import Run
from stackelgrid.controllers.words import words

# tables required for a report; without other tables only their sections are left out
_NEEDED = ("interval", "bus", "branch", "device")
_SUMMARY: dict[str, tuple[str, ...]] = {
    "timings": ("build_s", "solve_s"),
    "solver": ("conic", "mixed_integer", "version", "fallback_reason"),
    "cost_eur": ("total", "leader", "follower"),
    "bilevel": ("scheme", "pricing", "max_relative_gap"),
    "certificate": ("max_cone_gap_pu", "recovered"),
}
_VALUES = ("seed", "version", "wall_s", "intervals_fallback")


def write_run_report(directory: Path) -> Path:
    """Write report.html into a run directory and return its path; raises ResultsError."""
    return write_report(directory, run_page(Run(directory)))


def run_page(run: Run) -> Page:
    """Build the page of a run; raises ResultsError if its tables or summary are incomplete."""
    _check(run)
    when, found = clock(run), findings(run)
    sections = [of(run, when) for of in SECTIONS] if found.done else []
    return Page(
        title=f"Run {run.name}",
        subtitle=_subtitle(run, when),
        verdict=Verdict(found.state, sentence(found, when)),
        facts=_facts(run),
        sections=tuple(section for section in sections if section is not None),
        notices=_notices(run),
    )


def _check(run: Run) -> None:
    missing = [key for key in _VALUES if key not in run.summary]
    for section, keys in _SUMMARY.items():
        content = run.summary.get(section)
        known = content if isinstance(content, dict) else {}
        missing += [f"{section}.{key}" for key in keys if key not in known]
    if missing:
        raise ResultsError(
            f"{run.directory}: summary.json has no {missing[0]!r}; the directory of a run "
            "(stackelgrid run) is accepted"
        )
    _check_scenario(run)
    below = any(grid.parent for grid in run.grids.values())  # a single grid has no boundary
    for name in (*_NEEDED, "boundary") if below else _NEEDED:
        file = run.directory / f"{name}.parquet"
        # parts first: the merged file exists while they are removed
        partial = any((run.directory / name).glob("part-*.parquet"))
        if run.intervals_done and not partial and not file.exists():
            raise ResultsError(f"{file}: is missing; a run writes it (docs/results.md)")


def _check_scenario(run: Run) -> None:
    """Refuse a scenario.toml that was not written by a run."""
    path = run.directory / "scenario.toml"
    if "timezone" not in run.scenario["time"]:
        raise ResultsError(f"{path}: key 'timezone' is missing; a run writes it")


def _subtitle(run: Run, when: Clock) -> str:
    version = f"stackelgrid {run.summary['version']}"
    if not len(when.intervals):
        return version
    first, last = (str(edge).replace("T", " ")[:16] for edge in (when.edges[0], when.edges[-1]))
    zone = when.title.removeprefix("time (").removesuffix(")")
    return f"{first} to {last}, {zone}; {run.dt_h * 60:g} minutes an interval; {version}"


def _facts(run: Run) -> tuple[tuple[str, str], ...]:
    s = run.summary
    bilevel = s["bilevel"]
    number = Counter(grid.level for grid in run.grids.values())
    grids = ", ".join(f"{number[level]} {name}" for level, name in LEVELS.items() if number[level])
    total = sum(copies(run).values())
    mode = words(str(run.scenario.get("horizon", {}).get("mode", "rolling")))
    return (
        ("Status", words(run.status)),
        ("Intervals", f"{s['intervals_done']} of {s['intervals_planned']}, {mode}"),
        ("Grids", f"{grids}; {total} with all copies" if total > len(run.grids) else grids),
        ("Scheme", words(str(bilevel["scheme"]))),
        ("Pricing at the boundary", words(str(bilevel["pricing"]))),
        ("Coordination", words(str(run.scenario.get("coordination", "central")))),
        ("Cost of the system", known(s["cost_eur"]["total"], ",.2f", " EUR")),
        ("Wall-clock time", f"{s['wall_s']:,.1f} s"),
    )


def _notices(run: Run) -> tuple[str, ...]:
    if run.status == "running":
        return (
            "The run is still running, or its process was killed: this page shows the intervals "
            "recorded when it was written. stackelgrid report writes it again.",
        )
    if run.status == "interrupted":
        return (
            f"The run was interrupted; stackelgrid run --resume {run.directory.name} continues it "
            "and writes this page again.",
        )
    return ()
