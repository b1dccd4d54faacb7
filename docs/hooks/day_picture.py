"""Draw docs/day.png of a run of the shipped day: `python docs/hooks/day_picture.py DIR`."""

import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from stackelgrid.analysis import Run
from stackelgrid.analysis.pictures import run as pictures

DOCS = Path(__file__).resolve().parents[1]
_DPI, _SIZE = 90, (8.0, 4.0)  # of each of the four pictures, inches


def drawn(figure: Figure) -> "np.typing.NDArray[np.uint8]":
    """Pixels of a figure (height, width, 4)."""
    figure.set_dpi(_DPI)
    figure.set_size_inches(_SIZE)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


def main() -> None:
    """Write the picture: power and voltages of a feeder, batteries, prices."""
    run = Run(sys.argv[1])
    rows = (
        (pictures.dispatch(run, "mv1"), pictures.prices(run, "mv1")),
        (pictures.voltages(run, "mv1"), pictures.state_of_charge(run)),
    )
    picture = np.vstack([np.hstack([drawn(figure) for figure in row]) for row in rows])
    imsave(DOCS / "day.png", picture)


if __name__ == "__main__":
    main()
