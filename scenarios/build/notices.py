"""Notices before a run: solver, links, trade that cannot pay, scaling."""

from collections.abc import Iterator, Sequence

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.cascade.cascade import Cascade
from stackelgrid.controllers.networks.naming import counted
from stackelgrid.controllers.solvers.health import ProgramHealth, program_health
from stackelgrid.controllers.words import words
from stackelgrid.scenarios.build.forecast_texts import forecast_lines
from stackelgrid.scenarios.build.net_notices import net_lines
from stackelgrid.scenarios.build.system import BuiltScenario
from stackelgrid.scenarios.schema.communication import QualitySection

Programs = Sequence[tuple[str, ProgramHealth]]


def notices(built: BuiltScenario, health: Programs | None = None) -> list[str]:
    """Return the notices printed and logged at the start of a run, one line each.

    `health` is the health of the built programs if already known.
    """
    return [
        *_solver(built),
        *_messages(built),
        *net_lines(built),
        *forecast_lines(built.scenario),
        *_trade(built),
        *_scaling(programs(built) if health is None else health),
    ]


def programs(built: BuiltScenario) -> Programs:
    """Return the health of the programs of the project's own controller, by their grids."""
    if not isinstance(built.controller, Cascade):
        return ()
    return [
        ("+".join(group.names), program_health(group.compiled.program, group.compiled.row_names))
        for stage in built.controller.stages
        for group in stage.groups
    ]


def _solver(built: BuiltScenario) -> Iterator[str]:
    chosen = built.solvers.mixed_integer
    if chosen.fallback_reason is not None:  # the whole reason is in summary.json
        yield f"solver: {words(chosen.name)}; MOSEK cannot be used here (see stackelgrid solvers)"


def _messages(built: BuiltScenario) -> Iterator[str]:
    """Describe the communication network of the agents."""
    if built.scenario.coordination == "central":
        return
    section = built.scenario.links
    base = section.base
    faults = [f"latency {base.latency_s:g} s", f"jitter {base.jitter_s:g} s"]
    faults += [f"{k} {getattr(base, k):.0%}" for k in ("loss", "duplication", "reordering")]
    if base.bandwidth_bit_per_s is not None:
        faults.append(f"{base.bandwidth_bit_per_s:g} bit/s")
    described = ", ".join(faults) if base != QualitySection() else "no delay, no fault"
    others = f"; {counted(len(section.links), 'exception')} by link" if section.links else ""
    outages = f"; {counted(len(section.outages), 'outage')}" if section.outages else ""
    yield (
        f"agents decide by messages over {section.quality} links ({described}){others}{outages}; "
        f"gate of {section.gate_s:g} s"
    )


def _trade(built: BuiltScenario) -> Iterator[str]:
    """Describe trade whose fee exceeds every possible saving (docs/model.md)."""
    for name, grid in built.grids.items():
        trade = grid.section.trade
        if trade is None:
            continue
        saved = 2.0 * trade.retail_margin_eur_per_mwh
        if trade.fee_inside_eur_per_mwh >= saved:
            yield (
                f"grids.{name}.trade: trade inside can never pay: fee_inside_eur_per_mwh = "
                f"{trade.fee_inside_eur_per_mwh:g} is not below two retail margins = {saved:g}"
            )
        across = trade.fee_across_eur_per_mwh
        series = built.series[name]
        spread = float(np.max(series.import_eur_per_mwh - series.export_eur_per_mwh))
        if across is not None and across >= saved + spread:
            yield (
                f"grids.{name}.trade: trade across can never pay: fee_across_eur_per_mwh = "
                f"{across:g} is not below two retail margins plus the tariff's largest spread = "
                f"{saved + spread:g}"
            )


def _scaling(programs: Programs) -> Iterator[str]:
    for label, health in programs:
        if health.wide_rows:
            yield (
                f"{label}: coefficients of {len(health.wide_rows)} rows spread over more than "
                f"{tolerances.COEFFICIENT_RANGE:.0e}, first {health.wide_rows[0]}"
            )
