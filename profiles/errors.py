"""Root of the project's exception tree, in the lowest layer so that every layer can derive."""


class StackelgridError(Exception):
    """Anything the project refuses or fails at; the message is one line written for the user."""


class ProfileError(StackelgridError):
    """A time series or its description cannot be used."""
