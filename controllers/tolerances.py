"""Numerical tolerances of the decision layers, all in one place."""

# AC power flow: mismatch in p.u. of the net's sn_mva (below 1e-12 rounding reads as divergence)
POWER_FLOW_PU = 1e-10
POWER_FLOW_ITERATIONS = 20

# smallest mismatch of a power flow, in roundings of its largest admittance; a line of less
# impedance (p.u. of the net's sn_mva) joins its buses: this neglects a voltage of the impedance
# times the flow, p.u.; keeping the line would leave a mismatch of 1e-16 over the impedance
POWER_FLOW_ROUNDINGS = 4.0
JOINED_IMPEDANCE_PU = 1e-8

# impedances of a transformer at two tap positions that are equal (relative)
SAME_IMPEDANCE = 1e-9

# branches in parallel: share of a current in that of all their shunts below which there is none
NO_CURRENT = 1e-12

# opening of loops: least relative saving for which the open line of a loop is exchanged
LESS_LOSS = 1e-9

# three-phase power flow: change of a voltage in the last iteration, p.u.; iterations of the
# current-injection method (linear convergence, cheap), before Newton's method is used
THREE_PHASE_PU = 1e-10
THREE_PHASE_ITERATIONS = 60

# conic solver: feasibility (at 1e-8 cones of an exact feeder stay open by 2e-7 p.u.) and relative
# gap required of solved and of "almost solved" points
SOLVER_FEASIBILITY = 1e-9
SOLVER_GAP = 1e-8
SOLVER_REDUCED = 1e-5

# a relaxation is solved to this share of the wanted gap, at most this loosely (then its bound is
# less than 1e-5 below); a rarely binding row that was left out holds if violated by less (relative)
RELAXATION_SHARE = 1e-4
RELAXATION_LOOSEST = 1e-8
RARE_ROW = 1e-8

# independent check of a returned point: violation of a row, relative to the size of its terms
POINT_VIOLATION = 1e-6

# reduction: a row is implied by others if its right-hand side falls short of what they allow by no
# more than this, relative to its size
IMPLIED_ROW = 1e-12

# certificate (docs/model.md): verdicts exact, feasible, infeasible
EXACT_LOSS_SHARE = 1e-6
EXACT_VOLTAGE_PU = 1e-4
AC_LIMIT_PU = 1e-4

# mixtures of old and new schedules: profiles closer than this (MW, MVAr) are one; at most so many
# mixtures of a step are all solved, else so many worst cases of the linearised network; a mixture
# may violate limits by so much (p.u.) more than the held schedules do
EQUAL_PROFILES = 1e-12
MIXTURES_EXHAUSTIVE = 256
MIXTURE_CASES = 64
HELD_VIOLATION_PU = 1e-6

# recovery: loss price above the saving by fictitious losses, EUR/MWh; tightening of limits beyond
# the violation, p.u.; most decisions of a rung; first price of a cone gap in the convex-concave
# procedure (EUR/MWh) and its growth from one decision to the next; halvings of the share of
# feed-in or consumption that a schedule keeps
LOSS_PRICE_MARGIN = 5.0
RECOVERY_MARGIN_PU = 2e-5
RECOVERY_DECISIONS = 5
GAP_PRICE = 100.0
GAP_PRICE_GROWTH = 4.0
RECOVERY_POWER_SHARE = 0.98
CURTAILMENT_HALVINGS = 12

# a plan that leaves less than this share of an inverter's rating unused does not curtail (the
# distance of interior points to a limit; SOLVER_REDUCED is the coarsest of them)
CURTAILED = 1e-5

# wanted states at the end of a horizon stay within this share of the best that can be reached
END_MARGIN = 1e-3

# shiftable loads: energy of a task that counts as drawn, relative, and time of a run that counts as
# over, h
TASK_DONE = 1e-9

# storage: charging and discharging count as simultaneous above this share of the rated power
SIMULTANEOUS_SHARE = 1e-4

# tariff: smallest spread between import and export price in the model, EUR/MWh; a spread of zero
# would leave the split into import and export undetermined and the optimal set unbounded
PRICE_SPREAD = 1e-2

# mixed-integer driver: integer values further than this from an integer are refused; HiGHS's own
# feasibility in the master; its deduction from the master's bound (relative to its value);
# master points that open a cone by less (scaled rows) get no cut; equal cut directions
INTEGRALITY = 1e-6
MASTER_FEASIBILITY = 1e-9
MASTER_BOUND = 1e-9
CUT_VIOLATION = 1e-7
CUT_DIRECTION = 1e-6

# joined programs at given prices of their links: share of the gap that wrong prices may leave
# (relative); for a smaller wanted gap the joined program is solved
LINK_PRICES = 1e-5

# a bound above the incumbent by more than this (relative) contradicts it: one solver is wrong
BOUND_CONTRADICTION = 1e-5

# elastic re-solve: a row whose slack exceeds this share of its size is part of the conflict
CONFLICT_SLACK = 1e-5
# a ray that proves infeasibility or unboundedness: residual relative to the size of its terms
RAY = 1e-4

# spread of the coefficients of a row above which a warning is given
COEFFICIENT_RANGE = 1e8

# a number of a bilevel model above this is refused: HiGHS reports larger coefficients as errors
LARGEST_NUMBER = 1e15

# hull of disjunctions: relaxations are solved to this share of the wanted gap; a pair's slack times
# multiplier above this share of the objective is split; a copy with less weight is not in use
HULL_SHARE = 1e-2
COMPLEMENTARITY = 1e-6
DISJUNCT_WEIGHT = 1e-3

# bilevel: a follower's point whose objective exceeds its optimum by more (relative) is refused;
# a pair whose smaller side is below this (relative) counts as complementary; directions of a cone
# closer than this are one
FOLLOWER_GAP = 1e-6
COMPLEMENTARY_PAIR = 1e-6
CONE_DIRECTION = 1e-7

# diagonalization: quantities of an active network that move by less than this share of its devices'
# power are at rest, trade that is open by less clears; a nodal best response that gains less
# (relative to the cost) is not taken
EQUILIBRIUM = 1e-4
EQUILIBRIUM_GAIN = 1e-7

# LDD-ADMM: rounds at most, cold and warm, and how many of them are kept for fixed binaries; rounds
# have settled when the cost of cutting trade is below this share of the turnover and prices are
# apart by less than this share of their range; the same for a commit when the rounds or the time
# end; exchanges below this count as zero when penalties are sized, MW; margin to the follower's
# limits (relative); stiffness, relative to the first penalty, that holds binding exchanges to those
# that the follower can serve
MOST_ROUNDS = 30
COLD_ROUNDS = 20
WARM_ROUNDS = 10
FIXED_ROUNDS = 12
WARM_FIXED_ROUNDS = 5
NEGOTIATION_CUT = 2e-5
NEGOTIATION_PRICE = 5e-5
NEGOTIATION_ACCEPTED = 1e-3
NEGOTIATION_ACCEPTED_PRICE = 3e-2
NEGOTIATION_EXCHANGE_MW = 1e-5
NEGOTIATION_MARGIN = 2e-4
NEGOTIATION_STIFFER = 100.0

# a trade of a prosumer below this (MW) is numerical noise of an interior point
NO_TRADE_MW = 1e-6

# comparison of schemes: costs closer than this (relative) count as equal
COST_ALIKE = 1e-7


def relaxation(gap: float) -> float:
    """Tolerance of the conic relaxations of a search for a relative gap."""
    return min(RELAXATION_SHARE * gap, RELAXATION_LOOSEST)
