"""Nouns with numbers."""


def counted(number: int, noun: str) -> str:
    """Return "1 interval", "4 intervals"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
