"""The coordination schemes by name, and their plans for a comparison."""

from collections.abc import Callable, Mapping

from stackelgrid.controllers.errors import SchemeError
from stackelgrid.controllers.schemes.bottom_up import BottomUp
from stackelgrid.controllers.schemes.diagonalization import Diagonalization
from stackelgrid.controllers.schemes.feasibility_only import FeasibilityOnly
from stackelgrid.controllers.schemes.integrated import Integrated
from stackelgrid.controllers.schemes.ldd_admm import LddAdmm
from stackelgrid.controllers.schemes.top_down import TopDown
from stackelgrid.controllers.schemes.uncoordinated import Uncoordinated
from stackelgrid.controllers.stage.stage import Scheme, Stage

SCHEMES: Mapping[str, Callable[[Stage], Scheme]] = {
    "bottom_up": BottomUp,
    "feasibility_only": FeasibilityOnly,
    "top_down": TopDown,
    "integrated": Integrated,
    "uncoordinated": Uncoordinated,
    "diagonalization": Diagonalization,
    "ldd_admm": LddAdmm,
}


def scheme(name: str, stage: Stage) -> Scheme:
    """Scheme on a stage; raises SchemeError for a name that is not known."""
    if name not in SCHEMES:
        raise SchemeError(f"scheme {name!r} unknown; accepted: {', '.join(SCHEMES)}")
    return SCHEMES[name](stage)
