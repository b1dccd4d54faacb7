"""A leader's plan on the recovery ladder, and the order of such plans."""

from dataclasses import dataclass

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.leaders.feeder_records import FeederInstance, FeederPoint
from stackelgrid.controllers.schedule import Plan
from stackelgrid.controllers.verdict import EXACT, INFEASIBLE, Certificate, closed


@dataclass(frozen=True)
class Candidate:
    """A leader's plan, the point and instance it came from, and the rung that made it."""

    rung: str
    plan: Plan
    point: FeederPoint
    instance: FeederInstance
    steps: tuple[int, ...]

    @property
    def certificate(self) -> Certificate:
        """Certificate of the plan."""
        assert self.plan.certificate is not None
        return self.plan.certificate

    @property
    def verdicts(self) -> list[str]:
        """Verdicts at the applied steps."""
        return self.certificate.verdicts(self.steps)

    @property
    def settled(self) -> bool:
        """True if every applied step is exact."""
        return all(v == EXACT for v in self.verdicts)

    @property
    def infeasible(self) -> bool:
        """True if AC violates a limit at an applied step."""
        return INFEASIBLE in self.verdicts

    @property
    def relaxed(self) -> bool:
        """True if the relaxation is open at an applied step, phases aside.

        A plan with closed cones may violate a limit that its model only approximates: the rating of
        a transformer applies to the current at its terminals, magnetisation included.
        """
        steps, certificate = list(self.steps), self.certificate
        share, error = certificate.fictitious_loss_share, certificate.voltage_error_pu
        return not closed(share[steps], error[steps]).all()  # NaN: a schedule without flows

    @property
    def rank(self) -> tuple[float, ...]:
        """Order of plans: AC feasible first, then a solver's before a held one, then exact.

        A difference below the tolerances of a certificate is no improvement.
        """
        verdicts, certificate = self.verdicts, self.certificate
        violation = certificate.largest_violation(self.steps)
        share = np.nan_to_num(certificate.fictitious_loss_share[list(self.steps)], nan=np.inf)
        return (
            float(self.infeasible),
            float(np.round(violation / tolerances.AC_LIMIT_PU)) if self.infeasible else 0.0,
            float(bool(self.plan.report.fallback)),
            float(len(verdicts) - verdicts.count(EXACT)),
            max(float(np.max(share)), tolerances.EXACT_LOSS_SHARE),
        )
