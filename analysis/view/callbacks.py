"""Callbacks of the page: those of this process, and those of assets/view.js."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, html, no_update
from dash.development.base_component import Component

from stackelgrid.analysis import style
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.view import panels
from stackelgrid.analysis.view.data import LiveRun, Progress
from stackelgrid.analysis.view.layout import ALL, ANSWER_MS, FOLLOW_MS, aria, revision
from stackelgrid.analysis.view.series import Series, series, series_note
from stackelgrid.analysis.view.series_figure import series_figure
from stackelgrid.analysis.view.source import Element
from stackelgrid.analysis.view.strip import strip_figure


def register(app: Dash, run: LiveRun) -> None:
    """Register the callbacks of the page; none of them writes files."""
    _in_browser(app)

    @app.callback(
        Output("chunk", "data"), Output("progress", "children"), Output("problem", "children"),
        Output("follow", "disabled"),
        Input("follow", "n_intervals"), State("done", "data"),
        running=[(Output("follow", "interval"), ANSWER_MS, FOLLOW_MS)],
    )  # fmt: skip
    def follow(_: int | None, loaded: int) -> tuple[Any, ...]:
        return followed(run, loaded)

    @app.callback(
        Output("series", "figure"), Output("series", "style"), Output("series-title", "children"),
        Output("series-note", "children"),
        Input("selected", "data"), Input("settled", "data"), Input("done", "data"),
        Input("dark", "data"),
    )  # fmt: skip
    def show_series(
        chosen: str | None, interval: int | None, done: int, dark: bool | None
    ) -> tuple[Any, ...]:
        if not chosen or not done:
            text = "Nothing is chosen" if done else "No interval is on record yet"
            return no_update, no_update, text, ""
        try:
            found = series(run, Element.from_text(chosen), shown(run, interval))
        except ResultsError as error:  # the page keeps what it shows; asked again with the next
            return no_update, no_update, no_update, str(error)
        figure = themed(series_figure(run, found), dark)
        return figure, _height(figure), series_title(found), series_note(found)

    @app.callback(
        Output("strip", "figure"),
        Output("strip", "style"),
        Input("done", "data"),
        Input("dark", "data"),
    )
    def show_strip(_: int, dark: bool | None) -> tuple[Any, ...]:
        figure = themed(strip_figure(run), dark)
        return figure, _height(figure)

    @app.callback(
        Output("why", "children"), Output("trades", "children"), Output("decision", "children"),
        Input("settled", "data"), Input("grid", "data"), Input("done", "data"),
    )  # fmt: skip
    def show_interval(interval: int | None, grid: str | None, _: int) -> tuple[Component, ...]:
        return interval_panels(run, interval, grid)


def _in_browser(app: Dash) -> None:
    add: Any = app.clientside_callback  # untyped

    def call(name: str, *parts: Any, **own: Any) -> None:
        add(ClientsideFunction("stackelgrid", name), *parts, **own)

    call("theme", Output("dark", "data"), Input("geometry", "data"))
    call("take", Output("done", "data"), Output("interval", "max"),
         Input("chunk", "data"), State("geometry", "data"))  # fmt: skip
    call("paint", Output("clock", "children"),
         Input("interval", "value"), Input("grid", "data"), Input("done", "data"),
         State("geometry", "data"))  # fmt: skip
    call("move", Output("interval", "value"),
         Input("done", "data"), Input("play-tick", "n_intervals"), Input("previous", "n_clicks"),
         Input("next", "n_clicks"), Input("strip", "clickData"), State("interval", "value"),
         State("geometry", "data"))  # fmt: skip
    call("play", Output("play-tick", "disabled"), Output("play", "children"),
         Output("play", "aria-pressed"), Input("play", "n_clicks"),
         State("play-tick", "disabled"))  # fmt: skip
    call("choose", Output("grid", "data"), Input("strip", "clickData"),
         prevent_initial_call=True)  # fmt: skip
    call("select", Output("selected", "data"), Output("element", "options"),
         Output("element", "value"),
         Input("picked", "data"), Input("element", "value"), Input("grid", "data"),
         State("geometry", "data"))  # fmt: skip


def followed(run: LiveRun, loaded: int) -> tuple[Any, Any, str, bool]:
    """Return values after `loaded` intervals, progress, read errors, and True if all is done."""
    progress = run.update()
    done = run.done
    chunk: Any = no_update
    if done != loaded:
        chunk = {
            **asdict(run.chunk(min(loaded, done))),
            "revision": revision(run),
            "running": progress.status == "running",
        }
    return chunk, progress_line(progress), progress.problem, progress.status == "done"


def progress_line(p: Progress) -> list[Component]:
    """Return one line on the progress of the run."""
    status = "silent" if p.silent_s is not None else p.status
    facts = [f"{p.done} of {p.planned} intervals", f"{_duration(p.wall_s)} so far"]
    if p.status != "running":
        facts[1] = f"in {_duration(p.wall_s)}"
    elif p.silent_s is not None:
        facts.append(f"nothing new for {_duration(p.silent_s)}: it may have been killed")
    elif p.left_s is not None:
        facts.append(f"{_duration(p.left_s)} left")
    facts.append(p.solver)
    parts: list[Component] = [
        html.Span(status, className=f"status status-{status}"),
        html.Progress(value=str(p.done), max=str(p.planned), **aria(label="intervals done")),
        html.Span(" · ".join(facts)),
    ]
    if p.warning:
        parts.append(html.Span(f"Last warning, {p.warning}", className="warning"))
    return parts


def series_title(found: Series) -> str:
    """Return the name of the element, with a note if no values are recorded."""
    return found.title if found.panels else f"{found.title}: nothing is recorded"


def interval_panels(run: LiveRun, interval: int | None, grid: str | None) -> tuple[Component, ...]:
    """Return the panels of an interval: reasons of the verdicts, trades, and the decision."""
    at = shown(run, interval)
    grids = grids_of(run, grid)
    return (
        panels.why(run, at, grids),
        panels.trades(run, at, grids),
        panels.decision(run, at, grids),
    )


def themed(figure: dict[str, Any], dark: bool | None) -> dict[str, Any]:
    """Return a figure in the colours of the page."""
    found: dict[str, Any] = style.darkened(figure) if dark else figure
    return found


def shown(run: LiveRun, interval: int | None) -> int:
    """Return the interval that the page shows, 0 before the first."""
    return min(interval or 0, max(run.done - 1, 0))


def grids_of(run: LiveRun, choice: str | None) -> Sequence[str]:
    """Return the grids of a choice on the page: one grid, or all."""
    names = [g.name for g in run.grids]
    return [choice] if choice in names and choice != ALL else names


def _height(figure: dict[str, Any]) -> dict[str, str]:
    """Return the style of a graph with the height of its figure and the available width."""
    return {"height": f"{figure['layout']['height']}px"}


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
