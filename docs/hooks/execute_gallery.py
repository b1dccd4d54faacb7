"""Execute the notebooks of docs/gallery into build/gallery: `make gallery`."""

import os
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[2]
GALLERY, OUT = ROOT / "docs" / "gallery", ROOT / "build" / "gallery"


def execute(path: Path, folder: Path) -> bool:
    """Execute one notebook into a folder, as far as it goes; returns whether to its end."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    started = time.perf_counter()
    try:
        client.execute()
    except CellExecutionError as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return False
    finally:
        nbformat.write(notebook, folder / path.name)
    print(f"{folder / path.name}: {time.perf_counter() - started:.0f} s", flush=True)
    return True


def main() -> int:
    """Return 0 when every notebook ran to its end."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    # pictures go into the notebooks, not to a display
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    ended = [execute(path, OUT) for path in sorted(GALLERY.glob("*.ipynb"))]
    return 0 if ended and all(ended) else 1


if __name__ == "__main__":
    sys.exit(main())
