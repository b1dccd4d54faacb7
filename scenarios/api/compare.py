"""The verb `compare`: coordination schemes, or qualities of communication, on one scenario."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.api.call import Place, Settings, call_of, output_of
from stackelgrid.scenarios.api.output import Output
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.scheme_names import (
    SCHEMES,
    pricing_name,
    quality_names,
    scheme_names,
)

if TYPE_CHECKING:
    from stackelgrid.analysis.studies import ComparisonStudy
    from stackelgrid.scenarios.api.inputs import Source


def compare(
    scenario: "Source",
    *,
    schemes: str | Sequence[str] | None = None,
    qualities: str | Sequence[str] | None = None,
    closed_loop: bool = False,
    pricing: str | None = None,
    out: Place | None = None,
    set: Settings | None = None,
    seed: int | None = None,
    report: bool = True,
    quiet: bool = False,
    output: Output | None = None,
) -> "ComparisonStudy":
    """Compare coordination schemes on one scenario, or runs over links of several qualities.

    scenario: shipped name, path, `Scenario` or mapping.
    schemes: schemes in their order; default all.
    qualities: qualities of communication to compare instead.
    closed_loop: whether every scheme is also simulated through all intervals.
    pricing: payment at the boundary, tariff or lmp; default the scenario's.
    out: new or empty directory; default runs/NAME-compare-TIME.
    set: keys to override, for example {"time.intervals": 4}.
    seed: replaces the scenario's seed.
    report: whether to write report.html.
    quiet: whether to show no progress.
    output: destination of progress; default the cell of a notebook, else stderr.

    Raises a StackelgridError, also if a column failed.
    """
    output = output or output_of(quiet)
    call = call_of(scenario, out, None, set, seed, output, report=report)
    price = None if pricing is None else pricing_name(pricing)
    if qualities is not None:
        if schemes is not None:
            raise ScenarioError("--schemes and --qualities: one of them is accepted, not both")
        if closed_loop:
            raise ScenarioError(
                "--closed-loop: is accepted with --schemes; --qualities simulates whole runs"
            )
        links = quality_names(qualities)
        with call.begin("qualities") as (loaded, target, _):
            with output.loading():
                from stackelgrid.scenarios.studies.compare_qualities import compare_qualities

            steps = len(links) * loaded.scenario.time.intervals, "intervals"
            call.study(
                loaded, target, steps,
                lambda advance: compare_qualities(
                    loaded, target, links, advance, output.say, price
                ),
            )  # fmt: skip
    else:
        names = SCHEMES if schemes is None else scheme_names(schemes)
        with call.begin("compare") as (loaded, target, _):
            with output.loading():
                from stackelgrid.scenarios.studies.compare import (
                    CompareOptions,
                    compare_schemes,
                    steps_of,
                )

            options = CompareOptions(names, price or loaded.scenario.pricing, closed_loop)
            unit = "plans and intervals" if closed_loop else "plans"
            call.study(
                loaded, target, (steps_of(loaded, options), unit),
                lambda advance: compare_schemes(loaded, target, options, advance, output.say),
            )  # fmt: skip
    from stackelgrid.analysis.studies import read_comparison

    study = read_comparison(target)
    output.tell(study)
    call.write_report(target)
    output.results(study)
    failed = study.comparison.failed()
    if failed:
        columns = len(study.comparison.schemes(study.comparison.bases[0]))
        what = "schemes" if study.kind == "schemes" else "runs"
        raise StackelgridError(
            f"{len(failed)} of {columns} {what} failed ({', '.join(failed)}); reasons in {target}"
        )
    return study
