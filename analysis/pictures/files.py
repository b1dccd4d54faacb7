"""Pictures as files of a directory of results."""

from pathlib import Path

from matplotlib.figure import Figure

from stackelgrid.analysis.style import DPI
from stackelgrid.profiles.file_names import check_file_name
from stackelgrid.simulators.whole_file import whole_file


def save(figure: Figure, directory: Path, name: str) -> Path:
    """Write NAME.png and return its path; raises ValueError for a name that cannot be a file's."""
    path = directory / f"{check_file_name(name, 'picture')}.png"
    with whole_file(path, durable=False) as unfinished:
        figure.savefig(unfinished, format="png", dpi=DPI)
    return path
