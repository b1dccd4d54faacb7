"""Households as a mosaik simulator: a base load, and a boiler with a thermostat."""

import mosaik_api_v3

META = {
    "type": "time-based",
    "models": {"House": {"public": True, "params": ["base_kw"], "attrs": ["P[kW]"]}},
    "extra_methods": ["state", "restore"],  # so that an interrupted run can be resumed
}
BOILER_KW, DRAWN_KW, KWH_PER_K = 2.0, 0.25, 0.174  # 150 l of water


class Household(mosaik_api_v3.Simulator):
    def __init__(self):
        super().__init__(META)
        self.houses = {}  # by entity id: base load in kW, temperature in degrees C, heating or not

    def init(self, sid, time_resolution=1.0, step_s=300):
        self.step_s = step_s
        return self.meta

    def create(self, num, model, base_kw=0.2):
        ids = [f"House_{len(self.houses) + i}" for i in range(num)]
        self.houses |= {eid: [base_kw, 50.0 + i % 10, False] for i, eid in enumerate(ids)}
        return [{"eid": eid, "type": model} for eid in ids]

    def step(self, time, inputs, max_advance):
        for house in self.houses.values():
            if time > 0:  # heat since the step before
                kwh = (BOILER_KW * house[2] - DRAWN_KW) * self.step_s / 3600
                house[1] += kwh / KWH_PER_K
            house[2] = house[1] < 50.0 or (house[2] and house[1] < 60.0)
        return time + self.step_s

    def get_data(self, outputs):
        return {eid: {"P[kW]": self._power_kw(*self.houses[eid])} for eid in outputs}

    def _power_kw(self, base_kw, temperature, heating):
        return base_kw + BOILER_KW * heating

    def state(self):
        return self.houses

    def restore(self, state):
        self.houses = state


if __name__ == "__main__":  # for a scenario with `command` in place of `python`
    mosaik_api_v3.start_simulation(Household())
