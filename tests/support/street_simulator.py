"""A user's own simulator of mosaik's API: a street without losses at its slack voltage."""

import mosaik_api_v3

META = {
    "api_version": "3.0",
    "type": "hybrid",
    "models": {
        "Grid": {
            "public": True,
            "params": ["grid"],
            "attrs": [
                "vm_pu", "va_degree", "bus_p_mw", "bus_q_mvar", "gen_p_mw", "p_mw", "q_mvar",
                "slack_p_mw", "slack_q_mvar", "slack_vm_pu", "bus_vm_pu", "bus_va_degree",
                "bus_p_total_mw", "bus_q_total_mvar", "branch_p_from_mw", "branch_q_from_mvar",
                "branch_p_to_mw", "branch_q_to_mvar", "branch_i_ka", "branch_loading_percent",
                "gen_q_mvar", "loss_mw", "tap_pos", "rounds",
            ],
            "trigger": ["vm_pu", "va_degree"],
            "non-persistent": ["p_mw", "q_mvar"],
        },
        "Boundary": {
            "public": False,
            "params": [],
            "attrs": [
                "p_mw", "q_mvar", "vm_pu", "va_degree", "p_used_mw", "q_used_mvar", "vm_solved_pu",
            ],
        },
    },
}  # fmt: skip


class Street(mosaik_api_v3.Simulator):
    def __init__(self):
        super().__init__(META)
        self.inputs, self.now, self.rounds = {"vm_pu": 1.0, "va_degree": 0.0}, -1, 0
        self.sent = None

    def init(self, sid, time_resolution, branches):
        self.branches = branches
        return self.meta

    def create(self, num, model, grid):
        self.grid = grid
        return [{"eid": grid, "type": model}]

    def step(self, time, inputs, max_advance):
        self.rounds = self.rounds + 1 if time == self.now else 1
        self.now = time
        for attribute, sources in inputs.get(self.grid, {}).items():
            (self.inputs[attribute],) = sources.values()
        return (time // 900 + 1) * 900

    def get_data(self, outputs):
        p, q = self.inputs["bus_p_mw"], self.inputs["bus_q_mvar"]
        exchange = (sum(p), sum(q))
        results = {
            "slack_p_mw": exchange[0],
            "slack_q_mvar": exchange[1],
            "slack_vm_pu": self.inputs["vm_pu"],
            "bus_vm_pu": [self.inputs["vm_pu"]] * len(p),
            "bus_va_degree": [self.inputs["va_degree"]] * len(p),
            "bus_p_total_mw": p,
            "bus_q_total_mvar": q,
            "gen_q_mvar": [],
            "loss_mw": 0.0,
            "tap_pos": 0,
            "rounds": self.rounds,
        }
        if exchange != self.sent:
            self.sent = exchange
            results |= {"p_mw": exchange[0], "q_mvar": exchange[1]}
        branches = dict.fromkeys(a for a in outputs[self.grid] if a.startswith("branch_"))
        results |= {a: [0.0] * self.branches for a in branches}
        return {self.grid: {a: results[a] for a in outputs[self.grid] if a in results}}


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(Street())
