"""Simulators as users write them: they answer by a table, hold events, follow inputs, or fail."""

import os
import signal
import time as wall
from typing import ClassVar

import mosaik_api_v3
import numpy as np

MODEL = {"public": True, "params": ["values"], "attrs": ["P", "Q", "in", "plan"]}


class Table(mosaik_api_v3.Simulator):
    """Entities give entry k of their values in step k, whose times are multiples of `step_s`.

    The extra method `seen` returns time, inputs and `max_advance` of all steps; `by_sid` has them
    in the process of the simulator.
    """

    by_sid: ClassVar = {}

    def __init__(self):
        meta = {"type": "time-based", "models": {"Device": dict(MODEL)}}
        super().__init__({**meta, "extra_methods": ["seen", "state", "restore"]})
        self.values, self.k, self.steps = {}, -1, []

    def init(self, sid, time_resolution=1.0, step_s=900, type="time-based", **attributes):
        self.step_s, self.meta["type"] = step_s, type
        self.by_sid[sid] = self.steps
        self.meta["models"]["Device"].update(attributes)
        return self.meta

    def create(self, num, model, values=(0.0,)):
        names = [f"d{len(self.values) + i}" for i in range(num)]
        self.values |= {name: list(values) for name in names}
        return [{"eid": name, "type": model} for name in names]

    def step(self, time, inputs, max_advance):
        self.k, self.time, self.inputs = self.k + 1, time, inputs
        self.steps.append([time, inputs, max_advance])
        return time + self.step_s

    def get_data(self, outputs):
        return {
            eid: {a: self.value(self.values[eid][self.k % len(self.values[eid])]) for a in attrs}
            for eid, attrs in outputs.items()
        }

    def value(self, entry):
        return float(entry) if isinstance(entry, str) else entry  # "nan"

    def seen(self):
        return self.steps

    def state(self):
        return self.k

    def restore(self, state):
        self.k = state


class Follower(Table):
    """Gives the sum of its inputs `in`, steps only when one comes, and counts its steps."""

    def step(self, time, inputs, max_advance):
        super().step(time, inputs, max_advance)
        return None

    def get_data(self, outputs):
        given = {e: sum(i.get("in", {}).values()) for e, i in self.inputs.items()}
        return {e: dict.fromkeys(attrs, given[e]) for e, attrs in outputs.items() if e in given}


class Later(Table):
    """Event-based: gives its values half a step later than it is stepped."""

    def get_data(self, outputs):
        return {**super().get_data(outputs), "time": self.time + self.step_s // 2}


class Block(Table):
    """A block of flats, whose children are flats and a lift."""

    def __init__(self):
        super().__init__()
        flat = {"public": False, "params": [], "attrs": ["P"]}
        block = {"public": True, "params": ["flats"], "attrs": []}
        self.meta["models"] = {"Block": block, "Flat": flat, "Lift": flat}

    def init(self, sid, time_resolution=1.0):
        self.step_s = 900
        return self.meta

    def create(self, num, model, flats=2):
        lift, *others = super().create(1 + flats, "Flat", values=[0.5])
        return [{"eid": "block", "type": model, "children": [{**lift, "type": "Lift"}, *others]}]


class OfNumPy(Table):
    """Returns numbers and arrays of NumPy."""

    def step(self, time, inputs, max_advance):
        return np.int64(super().step(time, inputs, max_advance))

    def value(self, entry):
        return np.float32(entry) if np.ndim(entry) == 0 else np.array(entry)


class Failing(Table):
    """Fails at a time in a way that its parameter names."""

    def init(self, sid, time_resolution=1.0, fault="", at_s=900, pause_s=0.0, **parameters):
        self.fault, self.at_s, self.pause_s = fault, at_s, pause_s
        if fault == "init":
            raise ValueError("no licence for this building")
        return super().init(sid, time_resolution, **parameters)

    def create(self, num, model, **params):
        return super().create(num - (self.fault == "few"), model, **params)

    def step(self, time, inputs, max_advance):
        following = super().step(time, inputs, max_advance)
        if time < self.at_s:
            return following
        wall.sleep(self.pause_s)
        if self.fault == "exception":
            raise ValueError("the oven is on fire")
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "leave":
            print("no more gas", flush=True)
            os._exit(7)
        if self.fault == "slow":
            wall.sleep(60.0)
        return {"back": time - 900, "stay": time, "float": time + 900.0, "none": None}.get(
            self.fault, following
        )

    def finalize(self):
        if self.fault == "write":
            wall.sleep(1.5)
            open("written.txt", "a").close()
        if self.fault == "disk":
            raise OSError("the disk is full")

    def get_data(self, outputs):
        data = super().get_data(outputs)
        wrong = {"nan": float("nan"), "infinite": float("inf"), "much": 1e300}
        wrong |= {"text": "much", "no": None}
        if self.time >= self.at_s:
            if self.fault in wrong:
                data["d0"]["P"] = wrong[self.fault]
            if self.fault == "missing":
                del data["d0"]["P"]
        return data
