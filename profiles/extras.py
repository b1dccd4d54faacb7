"""Packages that only some uses need."""

from importlib.metadata import requires


def install_command(extra: str) -> str:
    """Command that installs what an extra of stackelgrid asks for, also beside a checkout."""
    packages = [
        text.partition(";")[0].strip()
        for text in requires("stackelgrid") or ()
        if text.endswith(f'extra == "{extra}"')
    ]
    return "pip install " + " ".join(f"'{package}'" for package in packages)
