"""Split of a Pyomo model into its leader and followers, with checks."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyomo.environ as pyo
from pyomo.core.expr.visitor import identify_variables

from stackelgrid.controllers.bilevel.duals import placeholders
from stackelgrid.controllers.errors import ModelError

_KNOWN = (
    pyo.Var,
    pyo.Constraint,
    pyo.Objective,
    pyo.Block,
    pyo.Param,
    pyo.Set,
    pyo.RangeSet,
    pyo.Expression,
    pyo.Suffix,
    pyo.BuildAction,
    pyo.BuildCheck,
)


@dataclass(frozen=True)
class Follower:
    """One follower: its objective, and the blocks (ids) that are its own."""

    block: Any
    objective: Any

    @property
    def sign(self) -> float:
        """1 for a minimising follower, -1 for a maximising one."""
        return -1.0 if self.objective.sense == pyo.maximize else 1.0


@dataclass(frozen=True)
class Levels:
    """Components by level; `data` are the leader's variables that occur in the followers."""

    name: str
    followers: tuple[Follower, ...]
    leader_variables: tuple[Any, ...]
    follower_variables: tuple[Any, ...]
    data: tuple[Any, ...]
    leader_constraints: tuple[Any, ...]
    follower_constraints: tuple[Any, ...]
    objective: Any
    placeholders: tuple[Any, ...]

    def owner(self, constraint: Any) -> Follower:
        """Return the follower to which a constraint component of the lower level belongs."""
        for follower in self.followers:
            if _within(constraint, (follower.block,)):
                return follower
        return self.followers[0]  # a constraint beside several followers names none of them


def read_levels(model: Any, follower: Any) -> Levels:
    """Split a model into leader and followers; raises ModelError naming what is not accepted."""
    blocks = _blocks(model, follower)
    name = ", ".join(block.name for block in blocks)
    _refuse_unknown(model)
    followers = tuple(f for block in blocks for f in _followers(block))
    stands_for = placeholders(model)
    variables = [v for v in _components(model, pyo.Var) if not v.is_reference()]
    lower = tuple(v for v in variables if _within(v, blocks))
    upper = tuple(v for v in variables if not _within(v, blocks) and v not in stands_for)
    constraints = _components(model, pyo.Constraint)
    lower_rows = tuple(c for c in constraints if _within(c, blocks))
    upper_rows = tuple(c for c in constraints if not _within(c, blocks))
    objectives = [
        o
        for o in model.component_data_objects(pyo.Objective, active=True, descend_into=True)
        if not _within(o, blocks)
    ]
    if len(objectives) != 1:
        found = ", ".join(o.name for o in objectives) or "none"
        raise ModelError(
            f"{model.name}: exactly one active objective beside the follower {name} is accepted, "
            f"found {found}"
        )
    used = _used(lower_rows, followers)
    _refuse_integers(lower)
    _refuse_fixed_to_nothing((*upper, *lower))
    _refuse_shared(followers, lower_rows, blocks)
    own = {id(v) for component in (*lower, *upper) for v in component.values()}
    data: dict[int, Any] = {}
    for variable, where in used:
        component = variable.parent_component()
        if component in stands_for:
            raise ModelError(f"{where}: a dual of the follower is not accepted in the follower")
        if id(variable) not in own:
            raise ModelError(f"{where}: {variable.name} is not an active variable of {model.name}")
        if not _within(component, blocks):
            data.setdefault(id(component), component)
    return Levels(
        name=name,
        followers=followers,
        leader_variables=upper,
        follower_variables=lower,
        data=tuple(data.values()),
        leader_constraints=upper_rows,
        follower_constraints=lower_rows,
        objective=objectives[0],
        placeholders=tuple(v for v in variables if v in stands_for),
    )


def _blocks(model: Any, follower: Any) -> tuple[Any, ...]:
    given = list(follower) if isinstance(follower, list | tuple) else [follower]
    blocks: list[Any] = []
    for entry in given:
        if getattr(entry, "ctype", None) is not pyo.Block:
            raise ModelError(f"follower {entry}: a Block of the model is accepted")
        single = [entry] if not entry.is_indexed() else list(entry.values())
        blocks += [block for block in single if block.active]
    if not blocks:
        raise ModelError("follower: at least one active Block is accepted, found none")
    for block in blocks:
        if block is model or block.model() is not model.model():
            raise ModelError(f"follower {block.name}: is not a Block inside {model.name}")
        if not _active(block):
            raise ModelError(f"follower {block.name}: is not active")
        for other in blocks:
            if other is not block and _within(block, (other,)):
                raise ModelError(
                    f"{block.name}: a follower inside the follower {other.name}; two levels are "
                    "accepted"
                )
    return tuple(blocks)


def _active(block: Any) -> bool:
    while block is not None:
        if not block.active:
            return False
        block = block.parent_block()
    return True


def _followers(block: Any) -> Iterator[Follower]:
    """Yield the followers of a block: its own objective, or those of its sub-blocks."""
    found = list(block.component_data_objects(pyo.Objective, active=True, descend_into=True))
    if not found:
        raise ModelError(f"follower {block.name}: has no active objective; one is accepted")
    if len(found) == 1:
        yield Follower(block, found[0])
        return
    owners = [objective.parent_block() for objective in found]
    for objective, owner in zip(found, owners, strict=True):
        for other, above in zip(found, owners, strict=True):
            if other is objective:
                continue
            if above is owner:
                raise ModelError(
                    f"{owner.name}: one objective is accepted, found {other.name} and "
                    f"{objective.name}"
                )
            if _within(owner, (above,)):
                raise ModelError(
                    f"{owner.name}: a follower inside the follower {above.name} (objective "
                    f"{objective.name}); two levels are accepted"
                )
        yield Follower(owner, objective)


def _components(model: Any, ctype: Any) -> list[Any]:
    return list(model.component_objects(ctype, active=True, descend_into=True))


def _within(component: Any, blocks: Sequence[Any]) -> bool:
    """Return whether a component (or a block) lies inside one of the blocks."""
    parent = component.parent_block()
    while parent is not None:
        if any(parent is block for block in blocks):
            return True
        parent = parent.parent_block()
    return False


def _used(rows: Sequence[Any], followers: Sequence[Follower]) -> Iterator[tuple[Any, str]]:
    """Yield every variable of the lower level's rows and objectives, and where it is used."""
    seen: set[int] = set()
    expressions = [(c.body, c.name) for row in rows for c in row.values() if c.active] + [
        (f.objective.expr, f.objective.name) for f in followers
    ]
    for expression, where in expressions:
        for variable in identify_variables(expression, include_fixed=False):
            if id(variable) not in seen:
                seen.add(id(variable))
                yield variable, where


def _refuse_integers(lower: Sequence[Any]) -> None:
    for component in lower:
        for variable in component.values():
            if not variable.fixed and not variable.is_continuous():
                raise ModelError(
                    f"{variable.name}: an integer variable in the follower; continuous variables "
                    "are accepted there"
                )


def _refuse_fixed_to_nothing(components: Sequence[Any]) -> None:
    for component in components:
        for variable in component.values():
            value = variable.value
            if variable.fixed and not (isinstance(value, int | float) and math.isfinite(value)):
                raise ModelError(
                    f"{variable.name}: is fixed to {value}; a finite number is accepted"
                )


def _refuse_shared(
    followers: Sequence[Follower], rows: Sequence[Any], blocks: Sequence[Any]
) -> None:
    """Raise ModelError if several followers share variables: only separate ones form one."""
    if len(followers) == 1:
        return
    owner: dict[int, tuple[Follower, str]] = {}

    def claim(expression: Any, follower: Follower, where: str) -> None:
        for variable in identify_variables(expression, include_fixed=False):
            if not _within(variable, blocks):
                continue
            known, first = owner.setdefault(id(variable), (follower, where))
            if known is not follower:
                raise ModelError(
                    f"{variable.name}: is shared by the followers {known.block.name} ({first}) "
                    f"and {follower.block.name} ({where}); followers with variables of their own "
                    "are accepted"
                )

    for follower in followers:
        claim(follower.objective.expr, follower, follower.objective.name)
    beside = []
    for row in rows:
        mine = [f for f in followers if _within(row, (f.block,))]
        if not mine:
            beside.append(row)
            continue
        for constraint in row.values():
            if constraint.active:
                claim(constraint.body, mine[0], constraint.name)
    for row in beside:
        for constraint in row.values():
            if not constraint.active:
                continue
            known = None
            for variable in identify_variables(constraint.body, include_fixed=False):
                if id(variable) in owner:
                    known = known or owner[id(variable)][0]
                    claim(variable + 0.0, known, constraint.name)


def _refuse_unknown(model: Any) -> None:
    for block in model.block_data_objects(active=True, descend_into=True):
        for component in block.component_objects(active=True, descend_into=False):
            ctype = component.ctype
            if not any(ctype is known or ctype is known.__base__ for known in _KNOWN) and not (
                isinstance(ctype, type) and issubclass(ctype, pyo.Set)
            ):
                raise ModelError(
                    f"{component.name}: a {ctype.__name__} is not accepted; variables, "
                    "constraints, objectives and blocks are"
                )
