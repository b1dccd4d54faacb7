"""Build the wheel and compare its contents with what git tracks: no file missing, none extra."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("profiles", "controllers", "simulators", "scenarios", "analysis")
FRONT = "scenarios/front/"  # becomes the root of the package


def main() -> int:
    """Return 0 when wheel and git agree."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, str(ROOT)]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            print(built.stdout, built.stderr, file=sys.stderr)
            return 1
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            found = {
                name.removeprefix("stackelgrid/")
                for name in archive.namelist()
                if name.startswith("stackelgrid/")
            }
    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    wanted = {name.removeprefix(FRONT) for name in listed.stdout.split()}
    for name in sorted(wanted - found):
        print(f"missing from the wheel: {name}", file=sys.stderr)
    for name in sorted(found - wanted):
        print(f"in the wheel, but not tracked: {name}", file=sys.stderr)
    if wanted == found:
        print(f"wheel: {len(found)} files, as tracked by git")
    return int(wanted != found)


if __name__ == "__main__":
    sys.exit(main())
