"""Files of nets: existence, size and text."""

from pathlib import Path

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.profiles.size_limits import NET_BYTES


def require_file(path: Path, where: str) -> None:
    """Raise NetworkError for a path that is no file; `where` begins the message."""
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise NetworkError(f"{where} {what}")


def read_text(path: Path, where: str, *, errors: str = "strict", advice: str = "") -> str:
    """Return the text of a file in UTF-8; raises NetworkError for one that cannot be read.

    path: the file.
    where: begins the messages.
    errors: treatment of bytes that are not UTF-8, as in `open`.
    advice: follows the message about a file that is too large.
    """
    try:
        require_file(path, where)
        size = path.stat().st_size
        if size > NET_BYTES:
            raise NetworkError(
                f"{where} has {size:,} bytes; at most {NET_BYTES:,} are accepted{advice}"
            )
        return path.read_text(encoding="utf-8-sig", errors=errors)
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or NUL in a name
        reason = getattr(error, "strerror", None) or "not a UTF-8 text file"
        raise NetworkError(f"{where} cannot be read ({reason})") from error
