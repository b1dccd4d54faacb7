"""The coordination schemes by name, and their plans for a comparison."""

from collections.abc import Callable, Mapping

from stackelgrid.controllers.coordination.bottom_up import BottomUp
from stackelgrid.controllers.coordination.diagonalization import Diagonalization
from stackelgrid.controllers.coordination.feasibility_only import FeasibilityOnly
from stackelgrid.controllers.coordination.integrated import Integrated
from stackelgrid.controllers.coordination.ldd_admm import LddAdmm
from stackelgrid.controllers.coordination.stage import Scheme, Stage
from stackelgrid.controllers.coordination.top_down import TopDown
from stackelgrid.controllers.coordination.uncoordinated import Uncoordinated
from stackelgrid.controllers.errors import SchemeError

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
