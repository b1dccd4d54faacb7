"""A user's controller that decides nothing, at first at once, then slowly."""

import time
from pathlib import Path

from stackelgrid.controllers.decision import Decision

DECIDING = Path(__file__).with_name("deciding")


class Quick:
    def __init__(self, system, settings):
        pass

    def decide(self, interval, measured):
        return Decision({})


class Slow(Quick):
    def decide(self, interval, measured):
        if interval == 1:
            DECIDING.touch()
            time.sleep(40.0)
        return super().decide(interval, measured)
