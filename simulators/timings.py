"""Wall-clock accounting of a run; never part of its tables."""

from dataclasses import dataclass


@dataclass
class Timings:
    """Seconds spent, added up by the simulators of one process."""

    build_s: float = 0.0
    solve_s: float = 0.0
    power_flow_s: float = 0.0
    record_s: float = 0.0
    state_s: float = 0.0
    world_s: float = 0.0

    def breakdown(self, wall_s: float) -> dict[str, float]:
        """Split the wall time into parts that sum to it; mosaik's own time is co-simulation."""
        cosimulation = self.world_s - self.solve_s - self.power_flow_s - self.record_s
        cosimulation -= self.state_s
        known = self.build_s + self.world_s - self.record_s
        return {
            "build_s": self.build_s,
            "solve_s": self.solve_s,
            "power_flow_s": self.power_flow_s,
            "cosimulation_s": cosimulation,
            "state_s": self.state_s,
            "other_s": wall_s - known,
        }
