"""Process of a user's simulator, a class of Python.

Run as `python -m stackelgrid.simulators.external.process --fd N MODULE:CLASS FOLDER...` on an
inherited connection; modules are found in the folders, too. The protocol is mosaik's API 3.
"""

import importlib
import json
import socket
import sys
from typing import Any

import mosaik_api_v3
from mosaik_api_v3 import connection

from stackelgrid.simulators.blas_threads import begin_with_one_blas_thread
from stackelgrid.simulators.remote.serving import serve


def main() -> None:
    """Serve the simulator; end with status 2 and one line if it cannot be loaded."""
    begin_with_one_blas_thread()
    number, name, *folders = sys.argv[2:]
    sys.path[:0] = folders
    # like mosaik in one process, accept the numbers and arrays of NumPy
    connection._encoder = json.JSONEncoder(default=_plain)
    simulator = _simulator(name)
    compliant = mosaik_api_v3.check_api_compliance(simulator)
    serve(socket.socket(fileno=int(number)), simulator, api_compliant=compliant)


def _simulator(name: str) -> Any:
    module, _, kind = name.partition(":")
    try:
        return getattr(importlib.import_module(module), kind)()
    except Exception as error:  # anything that a user's module may raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"{name} cannot be loaded ({reason})", file=sys.stderr)
        sys.exit(2)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be sent; numbers, text and lists are accepted")


if __name__ == "__main__":
    main()
