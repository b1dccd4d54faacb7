"""Results of a run in the formats of other tools: pandapower nets, netCDF, CSV."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.record import NETWORK, TABLES, check_table
from stackelgrid.analysis.run import Run

PANDAPOWER, NETCDF, CSV = "pandapower", "netcdf", "csv"
FORMATS = (PANDAPOWER, NETCDF, CSV)


def export(
    run: Run,
    form: str,
    out: Path,
    *,
    tables: Sequence[str] = (),
    grids: Sequence[str] = (),
    interval: int | None = None,
) -> None:
    """Write results of a run atomically to `out`, which must not exist.

    run: the run to export.
    form: `pandapower` (a directory with one JSON file for each grid, or one file if `out` ends in
        .json and one grid is chosen), `netcdf` (one file with one group for each table) or `csv`
        (a directory with one file for each table).
    tables: tables of netcdf and csv; default all.
    grids: grids of pandapower; default all.
    interval: interval of pandapower; default the last.

    Raises ResultsError for an unknown format, table, grid or interval, for arguments of another
    format, and if `out` exists or cannot be written.
    """
    write = _writer(run, form, out, tables, grids, interval)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ResultsError(f"--out {out}: exists already; a new file or directory is accepted")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
            unfinished = Path(folder) / out.name
            write(unfinished)
            unfinished.rename(out)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ResultsError(f"--out {out}: cannot be written ({reason})") from error


def _writer(
    run: Run,
    form: str,
    out: Path,
    tables: Sequence[str],
    grids: Sequence[str],
    interval: int | None,
) -> Callable[[Path], None]:
    """Check the arguments; return a function that writes the export to a path."""
    if form not in FORMATS:
        raise ResultsError(f"--format {form!r} is unknown; accepted: {', '.join(FORMATS)}")
    if form == PANDAPOWER:
        if tables:
            raise ResultsError("--table: belongs to netcdf and csv; pandapower takes --grid")
        return _net_writer(run, out, grids, interval)
    if grids or interval is not None:
        option = "--grid" if grids else "--interval"
        raise ResultsError(f"{option}: belongs to pandapower; {form} takes --table")
    for table in tables:
        check_table(table)
    whole = (run.directory / f"{NETWORK}.parquet").exists()
    chosen = list(dict.fromkeys(tables)) or [t for t in TABLES if whole or t != NETWORK]
    return partial(_write_csv if form == CSV else _write_netcdf, run, chosen)


def _net_writer(
    run: Run, out: Path, grids: Sequence[str], interval: int | None
) -> Callable[[Path], None]:
    for grid in grids:
        run.check_grid(grid)
    at = run.intervals_done - 1 if interval is None else interval
    run.check_interval(at)
    chosen = list(dict.fromkeys(grids)) or list(run.grids)
    if out.suffix != ".json":
        return partial(_write_nets, run, chosen, at)
    if len(chosen) > 1:
        raise ResultsError(
            f"--out {out}: one file holds one grid; name it with --grid, or give a directory for "
            f"all {len(chosen)}"
        )
    return partial(_write_net, run, chosen[0], at)


def _write_net(run: Run, grid: str, interval: int, path: Path) -> None:
    import pandapower as pp  # takes a second to import, and other formats do not need it

    path.write_text(pp.to_json(run.net(grid, interval)), encoding="utf-8")


def _write_nets(run: Run, grids: Sequence[str], interval: int, folder: Path) -> None:
    folder.mkdir()
    for grid in grids:
        _write_net(run, grid, interval, folder / f"{grid}.json")


def _write_netcdf(run: Run, tables: Sequence[str], path: Path) -> None:
    from stackelgrid.analysis.results.datasets import write_netcdf

    write_netcdf(run, tables, path)


def _write_csv(run: Run, tables: Sequence[str], folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.csv

    folder.mkdir()
    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    for table in tables:
        data = pa.Table.from_pandas(run.table(table), preserve_index=False)
        pyarrow.csv.write_csv(data, folder / f"{table}.csv", options)
