"""A feeder's program with prices of, and distances from targets for, trade and exchange."""

from dataclasses import replace

import numpy as np
from scipy.sparse import csc_array, diags_array

from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.leaders.feeder_records import FeederInstance, Variant
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, parameter_vector
from stackelgrid.profiles.arrays import Floats

TRADE, EXCHANGE = "across_net", "p_import"


class PricedFeeder:
    """Program of one copy of a feeder; powers (steps,) in MW, prices in EUR/MW of a step.

    A distance from a target counts penalty / 2 times its square, penalties in EUR/MW^2.
    """

    def __init__(self, agent: FeederAgent, variant: Variant) -> None:
        self.agent, self.variant = agent, variant
        self.compiled = agent.model(variant)
        self.base = agent.feeder.network.base_mva
        self.steps = agent.horizon.length
        self.trades = TRADE in self.compiled.columns

    @property
    def multiplicity(self) -> float:
        """Identical feeders that this one represents."""
        return float(self.agent.feeder.boundary.multiplicity)

    def trade(self, x: Floats) -> Floats:
        """Purchases across less sales of one copy (steps,) in MW."""
        if not self.trades:
            return np.zeros(self.steps)
        return np.asarray(self.base * x[self.compiled.columns[TRADE]])

    def exchange(self, x: Floats) -> Floats:
        """Exchange of one copy (steps,) in MW."""
        return self.agent.exchange(x, self.variant)

    def across(self, x: Floats, side: str) -> Floats:
        """Purchases ("buy") or sales ("sell") across of one copy (steps,) in MW."""
        values = x[self.compiled.columns[f"across_{side}"]]
        return np.asarray(self.base * values.reshape(-1, self.steps).sum(axis=0))

    def with_share(self, x: Floats, side: str, kept: Floats) -> Floats:
        """Point that keeps the share (steps,) of what it buys or sells across; the grid has it."""
        if np.all(kept == 1.0):
            return x
        c, changed = self.compiled.columns, x.copy()
        moved = (1.0 - kept) * self.across(x, side) / self.base
        changed[c[f"across_{side}"]] -= moved
        changed[c[f"grid_{side}"]] += moved
        changed[c[TRADE]] += moved if side == "sell" else -moved
        if self.variant.tariff:
            billed = changed[c[EXCHANGE]] - changed[c[TRADE]]
            changed[c["bought"]] = np.maximum(billed, 0.0)
            changed[c["sold"]] = np.maximum(-billed, 0.0)
        return changed

    def program(self, trade_penalty: Floats, exchange_penalty: Floats) -> ConicProgram:
        """Program of one copy in which distances count with these penalties (steps,)."""
        program = self.compiled.program
        diagonal = self.added_diagonal(trade_penalty, exchange_penalty)
        if not diagonal.any():
            return program
        return replace(program, quadratic=csc_array(program.quadratic + diags_array(diagonal)))

    def added_diagonal(self, trade_penalty: Floats, exchange_penalty: Floats) -> Floats:
        """Return the diagonal (columns,) that penalties (steps,) add to the quadratic cost."""
        diagonal = np.zeros(self.compiled.program.variables)
        for penalty, name in ((trade_penalty, TRADE), (exchange_penalty, EXCHANGE)):
            if name in self.compiled.columns:
                diagonal[self.compiled.columns[name]] += self.base**2 * penalty
        return diagonal

    def data(
        self,
        instance: FeederInstance,
        trade: tuple[Floats, Floats, Floats],
        exchange: tuple[Floats, Floats, Floats],
    ) -> ProgramData:
        """Vectors of `program`; price, target and penalty (steps,) of trade and of exchange."""
        values = self.agent.parameters(instance, self.variant)
        columns = self.compiled.columns
        data = self.compiled.program.data(parameter_vector(self.compiled.parameters, values))
        if instance.amendment is not None:
            data = instance.amendment.apply(self.compiled.program, columns, data)
        q, offset = data.q.copy(), data.offset
        for name, (price, target, penalty) in ((TRADE, trade), (EXCHANGE, exchange)):
            if name in columns:
                q[columns[name]] += self.base * (price - penalty * target)
                offset += float(0.5 * penalty @ target**2)
        return replace(data, q=q, offset=offset)
