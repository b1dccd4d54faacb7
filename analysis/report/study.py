"""Common parts of the reports of studies: facts, notices of missing parts, tables."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pandas as pd

from stackelgrid.analysis.report.page import ReportTable, Section
from stackelgrid.controllers.words import words

_STATES = {
    "running": "is going on, or was killed",
    "interrupted": "was interrupted",
}


def facts_of(summary: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return scenario, seed, version, solvers and time of a study as (label, value)."""
    solver = summary.get("solver") or {}
    facts = [
        ("Scenario", str(summary["scenario"])),
        ("Status", words(str(summary["status"]))),
        ("Seed", str(summary.get("seed", "unknown"))),
        ("stackelgrid", str(summary["version"])),
    ]
    for key, label in (("conic", "Conic solver"), ("mixed_integer", "Mixed-integer solver")):
        if solver.get(key):
            version = solver.get("version") if key == "mixed_integer" else ""
            name = words(str(solver[key]))
            facts.append((label, f"{name} ({version})" if version else name))
    facts.append(("Wall-clock time", duration(float(summary["wall_s"]))))
    return tuple(facts)


def solver_sections(summary: Mapping[str, Any]) -> tuple[Section, ...]:
    """Return a last section with the reason why other solvers stand in for MOSEK, if they do."""
    text = instead_of_mosek(summary)
    return (Section("Solvers", text),) if text else ()


def instead_of_mosek(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the sentence on the reason why other solvers stand in for MOSEK, if they do."""
    reason = (summary.get("solver") or {}).get("fallback_reason")
    return (f"They stand in for MOSEK: {reason}.",) if reason else ()


def unfinished(summary: Mapping[str, Any], done: int, planned: int, what: str) -> list[str]:
    """Return a notice for an unfinished study, with the share shown in the report."""
    state = _STATES.get(str(summary["status"]))
    if state is None:
        return []
    return [
        f"Partial: the study {state}. This report shows {done:,} of {planned:,} {what}; the rest "
        "may change every number here."
    ]


def duration(seconds: float) -> str:
    """Format seconds, as 14.5 s or 1:23:45 h."""
    return f"{seconds:.1f} s" if seconds < 600.0 else f"{timedelta(seconds=round(seconds))} h"


def frame_table(frame: pd.DataFrame, title: str, note: str = "") -> ReportTable:
    """Build a report's table from a frame of text."""
    rows = tuple(
        tuple(str(cell).replace(" ± ", "\u00a0±\u00a0") for cell in row)
        for row in frame.itertuples(index=False)
    )
    return ReportTable(title, tuple(str(c) for c in frame.columns), rows, note)


def listed(names: Sequence[str]) -> str:
    """Join names to a text: a, b and c."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def number(value: float) -> str:
    """Format a dimension's value; `-` if missing."""
    return "-" if pd.isna(value) else f"{value:g}"
