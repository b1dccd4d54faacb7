"""Replace this process by a command that ends with its parent process.

Run as `python -m stackelgrid.simulators.remote.launcher PARENT COMMAND...`. Linux ends the
command even if its parent was killed; elsewhere it ends when its connection closes.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
# exit status of a shell for a command that it does not find, or may not run
_NOT_FOUND = 127


def main() -> None:
    """Request a signal for the parent's end, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the signal was requested
        sys.exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(_NOT_FOUND)


if __name__ == "__main__":
    main()
