"""Execute the notebooks of docs/gallery into build/gallery: `make gallery`, `make docs`.

A notebook is executed again only if it, the code of the project or the size has changed since.
Beside each executed notebook NAME.ipynb stands its picture for the index, NAME.png.
"""

import hashlib
import os
import re
import sys
import time
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[2]
GALLERY, OUT = ROOT / "docs" / "gallery", ROOT / "build" / "gallery"
PACKAGES = ("profiles", "controllers", "simulators", "scenarios", "analysis")
PLOTLY = "application/vnd.plotly.v1+json"
AT_ONCE = 2  # notebooks
_TIME = re.compile(r"\d{4}-\d\d-\d\dT")
_PICTURE_INCHES, _PICTURE_DPI = (5.6, 3.5), 110


def state_of_code(root: Path = ROOT) -> str:
    """Return a digest of the code and the shipped scenarios."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in (".py", ".toml"):
                digest.update(path.relative_to(root).as_posix().encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def key_of(path: Path, code: str) -> str:
    """Return a digest of everything that the outputs of a notebook depend on."""
    size = os.environ.get("STACKELGRID_GALLERY", "")
    return hashlib.sha256(f"{code} {size} {path.read_text('utf-8')}".encode()).hexdigest()


def is_executed(path: Path, folder: Path, key: str) -> bool:
    """Return True if the folder has the outputs of this notebook and this code."""
    done = folder / path.name
    if not done.is_file():
        return False
    return nbformat.read(done, as_version=4).metadata.get("executed_for") == key


def execute(path: Path, folder: Path, key: str = "") -> bool:
    """Execute one notebook into a folder, as far as it goes; return True if to its end.

    path: the notebook.
    folder: existing folder of the executed notebook and its picture.
    key: digest by which `is_executed` finds it.
    """
    notebook = nbformat.read(path, as_version=4)
    started = time.perf_counter()
    with TemporaryDirectory(prefix="gallery-") as place:  # its runs are not kept
        client = NotebookClient(
            notebook,
            timeout=None,
            kernel_name="python3",
            extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns of its own local ports
            resources={"metadata": {"path": place}},
        )
        try:
            client.execute()
            notebook.metadata["executed_for"] = key
        except CellExecutionError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            return False
        finally:
            nbformat.write(notebook, folder / path.name)
    draw_picture(notebook, folder / f"{path.stem}.png")
    print(f"{path.stem}: {time.perf_counter() - started:.0f} s", flush=True)
    return True


def draw_picture(notebook: Any, path: Path) -> None:
    """Draw the figure of the cell with the tag `cover`, else the first figure, for the index."""
    from plotly.graph_objects import Figure

    from stackelgrid.analysis.pictures.draw import picture

    shown = [
        ("cover" in cell.metadata.get("tags", ()), output["data"][PLOTLY])
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if PLOTLY in output.get("data", {})
    ]
    if not shown:
        return
    _, content = max(shown, key=lambda found: found[0])
    drawing = picture(Figure(decoded(content["data"]), decoded(content["layout"])))
    drawing.set_size_inches(_PICTURE_INCHES)
    drawing.savefig(path, dpi=_PICTURE_DPI)


def decoded(value: Any) -> Any:
    """Return content of a figure with arrays and times of NumPy in place of their JSON."""
    if isinstance(value, dict):
        if "bdata" in value:
            array = np.frombuffer(b64decode(value["bdata"]), value["dtype"])
            shape = value.get("shape")
            return array.reshape([int(n) for n in shape.split(",")]) if shape else array
        return {key: decoded(item) for key, item in value.items()}
    if isinstance(value, str) and _TIME.match(value):
        return np.datetime64(value)
    return [decoded(item) for item in value] if isinstance(value, list) else value


def main() -> int:
    """Return 0 when every notebook has run to its end."""
    OUT.mkdir(parents=True, exist_ok=True)
    # pictures go into the notebooks, not to a display; figures as data, without a script
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"
    code, started = state_of_code(), time.perf_counter()
    notebooks = sorted(GALLERY.glob("*.ipynb"))
    keys = {path: key_of(path, code) for path in notebooks}
    changed = [path for path in notebooks if not is_executed(path, OUT, keys[path])]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        ended = list(threads.map(lambda path: execute(path, OUT, keys[path]), changed))
    print(f"{OUT}: {len(changed)} of {len(notebooks)} notebooks executed in "
          f"{time.perf_counter() - started:.0f} s, the others are unchanged")  # fmt: skip
    return 0 if notebooks and all(ended) else 1


if __name__ == "__main__":
    sys.exit(main())
