"""The command `stackelgrid`, also as `python -m stackelgrid`."""

from stackelgrid.scenarios.interrupts import loading


def main() -> None:
    """Run the command line; Ctrl-C while modules load ends it with one line."""
    with loading():
        from stackelgrid.scenarios.cli import main as command
    command()


if __name__ == "__main__":
    main()
