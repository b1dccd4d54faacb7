"""Optional packages and the command that installs them."""

from importlib.metadata import requires


def install_command(extra: str) -> str:
    """Return the command that installs the packages of an extra, also beside a checkout."""
    packages = [
        text.partition(";")[0].strip()
        for text in requires("stackelgrid") or ()
        if text.endswith(f'extra == "{extra}"')
    ]
    return "pip install " + " ".join(f"'{package}'" for package in packages)
