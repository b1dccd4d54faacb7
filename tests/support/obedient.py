"""A household as a user writes it: it draws its set point, else a power that grows."""

import mosaik_api_v3

ATTRS = ["P", "Q", "ahead", "asked", "vm", "load", "price", "T", "seen"]


class Household(mosaik_api_v3.Simulator):
    """Entities draw base_kw times the number of the interval, in steps of `step_s`.

    `ahead` announces the power of the next two intervals, `seen` repeats an input.
    """

    def __init__(self):
        model = {"public": True, "params": ["base_kw"], "attrs": ATTRS}
        super().__init__({"type": "time-based", "models": {"House": model}})
        self.base, self.k, self.inputs = {}, -1, {}

    def init(self, sid, time_resolution=1.0, step_s=900, log=""):
        self.step_s, self.log = step_s, log
        return self.meta

    def create(self, num, model, base_kw=1.0):
        names = [f"h{len(self.base) + i}" for i in range(num)]
        self.base |= {name: base_kw * (1 + i) for i, name in enumerate(names)}
        return [{"eid": name, "type": model} for name in names]

    def step(self, time, inputs, max_advance):
        self.k, self.inputs = time // 900, inputs
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{time} {inputs!r}\n")
        return time + self.step_s

    def get_data(self, outputs):
        return {eid: {a: self.value(eid, a) for a in attrs} for eid, attrs in outputs.items()}

    def value(self, eid, attribute):
        asked = self.inputs.get(eid, {}).get("asked", {})
        free = self.base[eid] * (1 + self.k)
        if attribute == "ahead":
            return [free + self.base[eid], free + 2 * self.base[eid]]
        power = next(iter(asked.values()), free)
        return power if attribute == "P" else -0.5 * power


class Resumable(Household):
    """Carries a sum of its powers, which saved states hold."""

    def __init__(self):
        super().__init__()
        self.meta["extra_methods"] = ["state", "restore"]
        self.sum = 0.0

    def step(self, time, inputs, max_advance):
        self.sum += 0.125
        return super().step(time, inputs, max_advance)

    def value(self, eid, attribute):
        return super().value(eid, attribute) + self.sum * (attribute == "P")

    def state(self):
        return self.sum

    def restore(self, state):
        self.sum = state
