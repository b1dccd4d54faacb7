"""Figures as JSON in a report, and the colours of its dark mode."""

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import numpy as np

from stackelgrid.analysis import style

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Plotly controls of a figure: save a picture, and reset the view
CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtons": [["toImage", "resetScale2d"]],
}


def figure_json(figure: "Figure") -> str:
    """Return a figure as JSON, safe in a script element because Plotly escapes < and >."""
    from plotly.io.json import to_json_plotly

    content = _compact(figure.to_plotly_json())
    return str(to_json_plotly({**content, "config": CONFIG}))


def theme_json() -> str:
    """Return the colours of figures in dark mode: `colors` by light colour, pairs of `scales`."""
    scales = [
        [[[round(at, 4), color] for at, color in _stops(light)], dark]
        for light, dark in style.DARK_SCALES.items()
    ]
    return json.dumps({"colors": style.DARK, "scales": scales}, separators=(",", ":"))


def _stops(scale: Any) -> Any:
    """Stops (place, colour) of a scale, or of a name of Plotly's."""
    from plotly.colors import get_colorscale

    return get_colorscale(scale) if isinstance(scale, str) else scale


def _compact(value: Any) -> Any:
    """Round numbers to single precision: seven digits suffice for drawing and halve the size."""
    if isinstance(value, dict):
        if value.get("dtype") == "f8" and "bdata" in value:
            return _single(value)
        return {key: _compact(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_compact(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.7g}")
    return value


def _single(spec: dict[str, Any]) -> dict[str, Any]:
    values = np.frombuffer(b64decode(spec["bdata"]), dtype="<f8").astype("<f4")
    return {**spec, "dtype": "f4", "bdata": b64encode(values.tobytes()).decode("ascii")}
