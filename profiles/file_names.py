"""Validation of names that become file names: grids, variants, qualities, sizes."""

import re

__all__ = ["FILE_NAME", "FILE_NAME_LENGTH", "NET_ENDINGS", "check_file_name"]

# files of nets: pandapower, MATPOWER, OpenDSS (controllers/networks/sources reads them)
NET_ENDINGS = (".json", ".m", ".dss")

FILE_NAME = r"^[A-Za-z][A-Za-z0-9_-]*$"
FILE_NAME_LENGTH = 100
_RULE = re.compile(FILE_NAME.removesuffix("$") + r"\Z")


def check_file_name(name: str, what: str) -> str:
    """Return a name that is safe as the name of a file; raises ValueError for any other.

    The name begins with a letter, followed by letters, digits, _ and -: no separator and no dot, so
    that it cannot point outside a folder.
    """
    if len(name) > FILE_NAME_LENGTH or not _RULE.match(name):
        shown = name if len(name) <= 60 else f"{name[:57]}..."
        raise ValueError(
            f"{what}: {shown!r} cannot be the name of a file; a letter and up to "
            f"{FILE_NAME_LENGTH - 1} letters, digits, _ or - are accepted"
        )
    return name
