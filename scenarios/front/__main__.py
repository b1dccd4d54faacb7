"""The command `stackelgrid`, also as `python -m stackelgrid`."""

from stackelgrid.scenarios.run.interrupts import loading


def main() -> None:
    """Run the command line; Ctrl-C during the imports ends the process with one line."""
    with loading():
        from stackelgrid.scenarios.cli.main import main as command
    command()


if __name__ == "__main__":
    main()
