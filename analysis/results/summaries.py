"""Types of summary.json: of a run, and of the three kinds of studies.

A quantity that a run does not have is None; keys that earlier versions did not write are
`NotRequired`. docs/results.md says what they mean.
"""

from typing import NotRequired, TypedDict

Number = float | None


class TimingsSection(TypedDict):
    """Wall-clock seconds of a run, by part."""

    build_s: float
    solve_s: float
    power_flow_s: float
    cosimulation_s: float
    state_s: float
    other_s: float


class SolverSection(TypedDict):
    """Solvers of a run, and why MOSEK is not among them."""

    conic: str
    mixed_integer: str
    version: str
    fallback_reason: str | None


class CostSection(TypedDict):
    """Realised costs in EUR, all copies; `total_corrected` less the value of stored energy."""

    total: Number
    leader: Number
    follower: Number
    total_corrected: Number


class StoredKindSection(TypedDict):
    """Stored energy of one kind of device in MWh."""

    start_mwh: float
    end_mwh: float


class StoredGridSection(TypedDict):
    """Stored energy of one feeder in MWh, and the value of its increase."""

    start_mwh: float
    end_mwh: float
    eur_per_mwh: float
    value_eur: float
    kinds: dict[str, StoredKindSection]


class StoredSection(TypedDict):
    """Stored energy of all copies in MWh, and the value of its increase."""

    start_mwh: float
    end_mwh: float
    value_eur: float
    grids: dict[str, StoredGridSection]


class BilevelSection(TypedDict):
    """Largest gaps of all decisions."""

    scheme: str
    pricing: str
    max_relative_gap: Number
    max_gap_eur: Number
    max_gap_of_flexible_cost: Number
    max_follower_gap: Number
    big_m_active: bool


class HorizonSection(TypedDict):
    """Certificates of all steps of the plans."""

    exact: int
    feasible: int
    infeasible: int
    max_cone_gap_pu: Number
    max_fictitious_loss_share: Number
    max_violation_pu: Number


class ThreePhaseSection(TypedDict):
    """Certificates phase by phase."""

    feasible: int
    infeasible: int
    max_violation_pu: Number
    max_unbalance_pu: Number
    max_unbalance_percent: Number


class TransmissionSection(TypedDict):
    """Certificates of DC dispatch."""

    feasible: int
    infeasible: int
    max_violation_pu: Number
    max_loss_mw: Number


class RecoverySection(TypedDict):
    """Plans that were mended, and verdicts before."""

    exact_before: int
    feasible_before: int
    infeasible_before: int
    plans_mended: int
    rungs: dict[str, int]
    decisions: int
    cost_eur: Number


class RealisedSection(TypedDict):
    """Limits in reality."""

    intervals_beyond_limits: int
    max_violation_pu: Number
    worst: str


class CertificateSection(TypedDict):
    """Intervals by the verdict of their worst feeder, and largest deviations."""

    exact: int
    feasible: int
    infeasible: int
    recovered: int
    max_cone_gap_pu: Number
    max_voltage_error_pu: Number
    max_violation_pu: Number
    max_fictitious_loss_share: Number
    max_loss_error_mw: Number
    horizon: HorizonSection
    three_phase: ThreePhaseSection | None
    transmission: TransmissionSection | None
    recovery: RecoverySection
    realised: NotRequired[RealisedSection]


class NegotiationSection(TypedDict):
    """Negotiations; entries on messages are None for those in one process."""

    rounds_max: int
    rounds_mean: float
    negotiations: int | None
    agreements: int | None
    attempts: int | None
    messages: int | None
    delivered: int | None
    lost: int | None
    in_outage: int | None
    duplicated: int | None
    reordered: int | None
    bytes: int | None
    agreement_mean_sec: Number
    agreement_max_sec: Number
    fallbacks: int | None
    intervals_fallback_by_reason: dict[str, int] | None
    in_doubt: int | None
    settled: int | None
    refused: int | None
    ignored: int | None
    failures: int | None
    unsafe_mixtures: int | None
    max_mixture_pu: Number


class InterfaceSection(TypedDict):
    """Mismatch at boundaries."""

    max_mismatch_mva: Number
    max_mismatch_pu: Number
    max_rounds: int


class BaselineSection(TypedDict):
    """The run without control."""

    status: str
    reason: str
    intervals_done: int
    cost_eur: CostSection | None
    wall_s: Number


class RunSummary(TypedDict):
    """summary.json of a run."""

    scenario: str
    seed: int
    folder: str
    version: str
    manifest: str
    status: str
    intervals_planned: int
    intervals_done: int
    intervals_fallback: int
    wall_s: float
    timings: TimingsSection
    certificate_s: Number
    solver: SolverSection
    cost_eur: CostSection
    stored_energy: NotRequired[StoredSection]
    bilevel: BilevelSection
    certificate: CertificateSection
    negotiation: NotRequired[NegotiationSection | None]
    interface: InterfaceSection
    max_simultaneous_charge_discharge_mw: Number
    max_balance_error_mw: Number
    energy_handover_max_error_mwh: Number
    baseline: NotRequired[BaselineSection | None]


class StudySummary(TypedDict):
    """Keys of summary.json that all studies have."""

    scenario: str
    seed: int
    version: str
    manifest: str | None
    status: str
    wall_s: float


class SchemeSection(TypedDict):
    """Status and total cost of a scheme, on one basis."""

    status: str
    total_cost_eur: Number


class QualitySection(TypedDict):
    """Status of the run over links of one quality, and its costs where it is done."""

    status: str
    total_cost_eur: NotRequired[Number]
    total_cost_corrected_eur: NotRequired[Number]
    extra_cost_eur: NotRequired[Number]


class ComparisonSummary(StudySummary):
    """summary.json of a comparison of schemes (by scheme and basis) or of qualities."""

    pricing: str
    stored_energy_eur_per_mwh: dict[str, float]
    solver: SolverSection
    closed_loop: NotRequired[bool]
    schemes: NotRequired[dict[str, dict[str, SchemeSection]]]
    qualities: NotRequired[dict[str, QualitySection]]


DimensionSection = TypedDict("DimensionSection", {"from": float, "to": float, "levels": int | None})
"""Range of a dimension, and its levels; None in a Latin hypercube."""


class SweepTimings(TypedDict):
    """Seconds of all processes, by part."""

    build_s: float
    solve_s: float
    certify_s: float


class SweepSummary(StudySummary):
    """summary.json of an exactness sweep."""

    grid: str
    size: str | None
    design: str
    dimensions: dict[str, DimensionSection]
    files: dict[str, str]
    points_planned: int
    points_done: int
    exact: int
    feasible: int
    infeasible: int
    unsolved: int
    predicted_exact: int | None
    workers: int
    timings: SweepTimings
    solver: SolverSection


class FailedRun(TypedDict):
    """A run of an ensemble that failed, and why."""

    error_level: float
    scheme: str
    variant: str
    member: int
    reason: str


class EnsembleSummary(StudySummary):
    """summary.json of an ensemble."""

    size: str | None
    members: int
    error_levels: list[float]
    schemes: list[str]
    variants: list[str]
    intervals: int
    runs_planned: int
    runs_done: int
    runs_failed: int
    failed: list[FailedRun]
    workers: int
    folder: str
    files: dict[str, str]
