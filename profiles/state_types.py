"""Types of the objects that a state may contain, by module and name.

States consist of these, of numbers, texts, arrays and containers: objects of other classes are
neither saved nor restored.
"""

STATE_TYPES = frozenset(
    {
        "controllers.leaders.feeder_records:FeederPoint",
        "controllers.leaders.feeder_records:FeederState",
        "controllers.leaders.feeder_records:Variant",
        "controllers.negotiation.commit.messages:Abort",
        "controllers.negotiation.commit.messages:Ack",
        "controllers.negotiation.commit.messages:Commit",
        "controllers.negotiation.commit.messages:Offer",
        "controllers.negotiation.commit.messages:Prepare",
        "controllers.negotiation.commit.messages:Response",
        "controllers.negotiation.commit.messages:Version",
        "controllers.negotiation.commit.messages:Vote",
        "controllers.negotiation.commit.coordinator:_Attempt",
        "controllers.negotiation.commit.retransmission:RetryPolicy",
        "controllers.negotiation.commit.retransmission:_Pending",
        "controllers.negotiation.commit.safety:Holding",
        "controllers.negotiation.agent:BindingSchedule",
        "controllers.negotiation.consensus:AdmmState",
        "controllers.negotiation.coordinator:Answer",
        "controllers.negotiation.coordinator:PublicTerms",
        "controllers.cascade.cascade:CascadeState",
        "controllers.stage.stage:StageState",
        "controllers.decision:Decision",
        "controllers.decision:Negotiation",
        "controllers.decision:Outcome",
        "controllers.decision:Round",
        "controllers.networks.power_flow:AcState",
        "controllers.networks.reduction:FlowState",
        "controllers.schedule:BoundaryProfile",
        "controllers.schedule:Plan",
        "controllers.schedule:Schedule",
        "controllers.schedule:SetPoints",
        "controllers.schedule:SolveReport",
        "controllers.schedule:Trade",
        "controllers.verdict:Certificate",
        "controllers.verdict:PhaseView",
        "controllers.verdict:Recovery",
        "controllers.verdict:TransmissionCertificate",
        "controllers.verdict:Verdict",
        "scenarios.run.state:RunState",
        "simulators.messages.link:UnderWay",
        "simulators.remote.grids:GridState",
        "simulators.messages.round_trip:Estimate",
        "simulators.timings:Timings",
        "simulators.messages.link:TrafficCounts",
    }
)
