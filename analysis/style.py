"""Style of all pictures: colours by meaning, fonts, and the template of Plotly figures.

Colours are those of Okabe and Ito (2008), which readers with any colour vision can tell apart.
"""

import re
from collections.abc import Mapping
from typing import Any

ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILION, PURPLE, BLACK, GREY = "#0072b2", "#d55e00", "#cc79a7", "#000000", "#7f7f7f"
# colours in order, for lines of grids, schemes or members
CYCLE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK)
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
# dashes and symbols of Plotly as matplotlib names them, for pictures
LINE_STYLES: dict[str, Any] = {
    "solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (9, 3)),
}  # fmt: skip
MARKERS = {
    "circle": "o", "square": "s", "triangle-up": "^", "diamond": "D", "triangle-down": "v",
    "cross": "P", "x": "X", "x-thin": "x", "line-ns": "|",
}  # fmt: skip
DPI = 130

# exchange, losses, grids below; the colour of a kind of device stands in its file in
# controllers/devices
IMPORT, LOSS, LOWER = BLUE, VERMILION, SKY
VERDICTS = {
    "exact": GREEN,
    "within limits": "#8fd3bd",  # feasible, without a requirement of exactness
    "feasible": ORANGE,
    "infeasible": VERMILION,
    "": "#d9d9d9",
}
# schedules held by an agent in an interval
HELD = {
    "new schedule": GREEN,
    "new schedule, unconfirmed at the gate": "#a6d96a",
    "old schedule": ORANGE,
    "old schedule, in doubt at the gate": VERMILION,
    "old schedule, silent": "#555555",
}
# voltages: low, nominal, high; loading: none to full; taps around 0
VOLTAGE_SCALE = "RdBu_r"
LOADING_SCALE = "YlOrRd"
TAP_SCALE = "PuOr"
# voltages between their limits: lower one, nominal, upper one; dark beyond, at both ends
ROOM_ENDS = 0.04  # share of the scale at each end
ROOM_SCALE = (
    (0.0, "#08153a"), (ROOM_ENDS, "#08153a"), (ROOM_ENDS, "#2166ac"), (0.27, "#92c5de"),
    (0.5, "#f7f7f7"), (0.73, "#f4a582"), (1.0 - ROOM_ENDS, "#b2182b"),
    (1.0 - ROOM_ENDS, "#3d0000"), (1.0, "#3d0000"),
)  # fmt: skip
# sweeps: shares of exact points; losses, white at the limit of exact; shares on the feeder's lines
SHARE_SCALE, LOSS_SCALE, LINE_SCALE = "cividis", "RdBu_r", "viridis_r"

# colours of figures on a dark page, where they differ: text and lines light, backgrounds dark
DARK = {
    "#1a1a1a": "#e8e8e8", "#ffffff": "#16191d", "#e5e5e5": "#33383f", "#9a9a9a": "#7d8590",
    "#d9d9d9": "#3d434b", "#b5b5b5": "#6b7280", "#8a8a8a": "#9aa0a8", "#555555": "#9a9a9a",
    BLACK: "#dcdcdc", BLUE: "#3390d8",
}  # fmt: skip
# scales on a dark page: what is white or pale on paper is dark there
DARK_SCALES: dict[Any, Any] = {
    "RdBu_r": (
        (0.0, "#a6d6ff"), (0.25, "#3f8fd6"), (0.5, "#3b4047"), (0.75, "#d6513f"), (1.0, "#ffb09d"),
    ),
    "YlOrRd": ((0.0, "#30343a"), (0.5, "#c2611f"), (1.0, "#ffe08a")),
    "viridis_r": ((0.0, "#44678f"), (0.5, "#3fb58a"), (1.0, "#fde725")),
    "PuOr": (
        (0.0, "#ffb45c"), (0.25, "#c47a24"), (0.5, "#3b4047"), (0.75, "#7d6fc0"), (1.0, "#c8bdf5"),
    ),
    ROOM_SCALE: (
        (0.0, "#ffffff"), (ROOM_ENDS, "#ffffff"), (ROOM_ENDS, "#7cc0ff"), (0.27, "#2f6da8"),
        (0.5, "#30353b"), (0.73, "#a8483a"), (1.0 - ROOM_ENDS, "#ff8d78"),
        (1.0 - ROOM_ENDS, "#ffe600"), (1.0, "#ffe600"),
    ),
}  # fmt: skip

# units as figures write them
UNIT_TEXTS = {"degC": "°C"}

# margins of a figure without a legend on top
BARE = {"l": 60, "r": 20, "t": 12, "b": 44}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK, PAPER, RULE = "#1a1a1a", "#ffffff", "#e5e5e5"


def line_of(number: int) -> dict[str, Any]:
    """Return colour and dash of a figure's n-th line; the first 35 differ from each other."""
    return {
        "color": CYCLE[number % len(CYCLE)],
        "dash": DASHES[number // len(CYCLE) % len(DASHES)],
    }


def darkened(figure: Any) -> Any:
    """Return a figure of plain values with the colours of a dark page, also those in texts."""
    if isinstance(figure, Mapping):
        return {key: darkened(value) for key, value in figure.items()}
    if isinstance(figure, (list, tuple)):
        return [darkened(value) for value in figure]
    if not isinstance(figure, str) or "#" not in figure:
        return figure
    return re.sub("#[0-9a-f]{6}", lambda found: DARK.get(found[0], found[0]), figure)


def layout(**own: Any) -> dict[str, Any]:
    """Return the layout of a Plotly figure in the project's style, with own entries added."""
    axis = {
        "gridcolor": RULE,
        "zerolinecolor": "#9a9a9a",
        "linecolor": "#9a9a9a",
        "ticks": "outside",
        "tickcolor": "#9a9a9a",
        "automargin": True,
    }
    return {
        "template": {"layout": {"xaxis": axis, "yaxis": axis, "colorway": list(CYCLE)}},
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "margin": {"l": 60, "r": 20, "t": 44, "b": 44},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0},
        **own,
    }
