"""Root of the exception classes, in the lowest layer so that every layer can derive from it."""


class StackelgridError(Exception):
    """Base of all errors of the project; the message is one line written for the user."""


class ProfileError(StackelgridError):
    """Raised when a time series or its description cannot be used."""


def shown(value: object, limit: int = 60) -> str:
    """Return the text of a value for a message, as one line cut to `limit` characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or of nested lists
        text = f"<{type(value).__name__} of thousands of digits or levels>"
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 4]}...{text[-1]}"
