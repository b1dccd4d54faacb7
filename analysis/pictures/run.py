"""Pictures of a run for papers: dispatch, voltages, storage, certificate, prices.

Each function takes a Run and returns a matplotlib Figure, in local time of the scenario:

    dispatch(run, "mv1").savefig("dispatch.pdf")

They are figures of `stackelgrid.analysis.figures` with a title; `draw.picture` draws any other.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from stackelgrid.analysis.figures import certificates, costs, power
from stackelgrid.analysis.figures import voltages as of_voltages
from stackelgrid.analysis.pictures.draw import picture
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.run import Run


def dispatch(run: Run, grid: str) -> Figure:
    """Supply (up) and use (down) of one copy of a grid in MW, stacked; both sides are equal.

    Raises ResultsError for an unknown grid, or a run without an interval.
    """
    _check(run, grid)
    title = f"{run.name}: power of {_described(run, grid)}"
    return picture(power.dispatch(run, grid), title)


def voltages(run: Run, grid: str) -> Figure:
    """Bands of voltages over a grid's buses in p.u., against the limits of most of its buses.

    Raises ResultsError for an unknown grid, or a run without an interval.
    """
    _check(run, grid)
    title = f"{run.name}: voltages of {_described(run, grid)}"
    return picture(of_voltages.voltages_of(run, [grid]), title)


def state_of_charge(run: Run, grids: Sequence[str] = (), kind: str = "") -> Figure:
    """Bands of the state of charge over all storage of some grids (all by default), in percent.

    Values are those at the ends of intervals, of one kind of device (by default the first that
    stores energy and is there). Raises ResultsError where there is none.
    """
    _check(run, *grids)
    where, chosen = ", ".join(grids), grids or list(run.grids)
    for own in power.stores():
        rows = power.devices_of(run, own.kind, chosen)
        if kind in ("", own.kind) and len(rows):
            count = len(rows.drop_duplicates(["grid", "element", "index"]))
            figure = power.charge_of(run, own.kind, chosen, weighted=False)
            return picture(figure, f"{run.name}: {count} {own.label} of {where or 'all grids'}")
    missing = kind or " or ".join(own.label for own in power.stores())
    raise ResultsError(f"{run.directory}: no {missing} in {where or 'any grid'}")


def certificate(run: Run) -> Figure:
    """Verdict of every grid's applied plan by interval, as a strip a grid.

    Raises ResultsError for a run without an interval.
    """
    _check(run)
    return picture(certificates.certificate_strip(run), f"{run.name}: verdict of the applied plans")


def prices(run: Run, grid: str) -> Figure:
    """Import, export and nodal price at a grid's boundary in EUR/MWh.

    Raises ResultsError for an unknown grid, or one without a grid above.
    """
    _check(run, grid)
    if run.grids[grid].parent is None:
        raise ResultsError(f"grid {grid!r} has no grid above, and no prices at a boundary")
    title = f"{run.name}: prices at the boundary of {_described(run, grid)}"
    return picture(costs.prices(run, grid), title)


def _check(run: Run, *grids: str) -> None:
    for grid in grids:
        run.check_grid(grid)
    if run.interval.empty:
        raise ResultsError(f"{run.directory}: no interval is done yet")


def _described(run: Run, grid: str) -> str:
    copies = run.grids[grid].multiplicity
    return grid if copies == 1 else f"{grid} (one of {copies} copies)"
