"""Payment of a follower's neighbours at its prices, without products of price and exchange."""

from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.quadratics import product
from stackelgrid.profiles.arrays import Floats


def exchange_payment(program: ConicProgram, zero: ProgramData, y: Floats, nu: Floats) -> float:
    """Payment in EUR at an optimum (y, nu) of the program; `zero` are the data without exchange.

    With data b = zero.b + D x for an exchange x, optimality (L = f + nu'(A y + s - b)) says

        P y + q + A'nu = 0  and  nu's = 0,  so  y'Py + q'y = -nu'A y = -nu'b,

    and dV/dx = -D'nu for the optimal value V. Hence

        sum of x dV/dx = -nu'D x = -nu'(b - zero.b) = y'Py + q'y + zero.b'nu,

    where x no longer appears: with y and nu as variables this is convex (docs/formulation.md).
    It holds for linear rows and second-order cones alike; q must not depend on the exchange.
    """
    return float(y @ product(program.quadratic, y) + zero.q @ y + zero.b @ nu)
