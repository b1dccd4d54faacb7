"""A linear leader over a transport market: n buses on a ring, twice as many units, five loads."""

import numpy as np
import pyomo.environ as pyo

# optimum of the KKT program with SOS1 pairs, proven by SCIP 10 (gap 1e-7), by (units, seed)
OPTIMA = {
    (40, 4000): -895.8608287,
    (40, 4001): -854.9125523,
    (67, 4000): -559.5209484,
    (67, 4001): -954.1322437,
    (67, 4002): -608.8638609,
    (100, 4000): -121.2441822,
    (150, 4002): 16.1256692,
    (150, 4003): -1075.1173264,
    (300, 4001): 503.6609132,
}


def transport_market(units, seed, loads=5):
    """Leader places loads for their use, and pays some units' cost; the follower dispatches."""
    r = np.random.default_rng(seed)
    n = units // 2
    nodes = r.integers(0, n, units)
    cap, c1, c2 = r.uniform(5, 20, units), r.uniform(5, 60, units), r.uniform(0.01, 0.3, units)
    load, limit = r.uniform(1, 4, n), r.uniform(3, 12, n)
    at = r.choice(n, loads, replace=loads > n)
    use = r.uniform(20, 90, loads)
    own = sorted(set(r.choice(units, units // 3, replace=False).tolist()))
    m = pyo.ConcreteModel("market")
    m.x = pyo.Var(range(loads), bounds=(0, 6))
    f = m.follower = pyo.Block()
    f.g = pyo.Var(range(units), bounds=lambda b, k: (0, float(cap[k])))
    f.f = pyo.Var(range(n), bounds=lambda b, k: (-float(limit[k]), float(limit[k])))
    f.shed = pyo.Var(range(n), bounds=(0, None))

    def balance(b, k):
        supply = sum(b.g[u] for u in range(units) if nodes[u] == k) + b.shed[k]
        drawn = sum(m.x[j] for j in range(loads) if at[j] == k)
        return supply - b.f[k] + b.f[(k - 1) % n] - drawn == float(load[k])

    f.balance = pyo.Constraint(range(n), rule=balance)
    f.cost = pyo.Objective(
        expr=sum(float(c1[u]) * f.g[u] + 0.5 * float(c2[u]) * f.g[u] ** 2 for u in range(units))
        + 200 * sum(f.shed[k] for k in range(n))
    )
    m.cap = pyo.Constraint(expr=sum(m.x[j] for j in range(loads)) <= 3 * loads)
    m.cost = pyo.Objective(
        expr=-sum(float(use[j]) * m.x[j] for j in range(loads))
        + sum(float(c1[u]) * f.g[u] for u in own)
    )
    return m
