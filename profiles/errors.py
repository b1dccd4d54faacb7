"""Root of the project's exception tree, in the lowest layer so that every layer can derive."""


class StackelgridError(Exception):
    """Anything the project refuses or fails at; the message is one line written for the user."""


class ProfileError(StackelgridError):
    """A time series or its description cannot be used."""


def shown(value: object, limit: int = 60) -> str:
    """A value for a message, as one line that is cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or of nested lists
        text = f"<{type(value).__name__} of thousands of digits or levels>"
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 4]}...{text[-1]}"
