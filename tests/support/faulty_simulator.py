"""The project's own simulator with a fault: SCRIPT HOST:PORT FAULT TIME_S [ONCE].

ONCE is a file that the fault leaves, and that keeps it from coming again.
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path

from stackelgrid.scenarios.remote.process import OwnSimulator
from stackelgrid.scenarios.schema.remote import host_and_port
from stackelgrid.simulators.remote.serving import serve


class FaultySimulator(OwnSimulator):
    """Fails in its first step at or after a time."""

    def __init__(self, fault, time_s, once=None):
        super().__init__()
        self.fault, self.time_s, self.once = fault, time_s, once

    def step(self, time_s, inputs, max_advance):
        if time_s >= self.time_s and not (self.once and self.once.exists()):
            if self.once:
                self.once.touch()
            if self.fault == "exception":
                raise ValueError("the oil of the transformer is hot")
            if self.fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault == "stall":
                time.sleep(60.0)
            if self.fault == "leave":
                os._exit(7)
        return super().step(time_s, inputs, max_advance)

    def get_data(self, outputs):
        data = super().get_data(outputs)
        if self.fault == "text":
            data["lv1"]["loss_mw"] = "much"
        if self.fault == "hole":
            del data["lv1"]["bus_vm_pu"]
        return data


if __name__ == "__main__":
    address, fault, time_s, *once = sys.argv[1:]
    connection = socket.create_connection(host_and_port(address))
    serve(connection, FaultySimulator(fault, float(time_s), *map(Path, once)))
