"""Several compiled models as one program, linked by a few rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import block_diag, coo_array, csc_array, csr_array, vstack

from stackelgrid.controllers.solvers.compile.compiled import CompiledModel
from stackelgrid.controllers.solvers.compile.rows import ComponentNames, NamePart, RowNames
from stackelgrid.controllers.solvers.conic import ConicProgram, stacked_rows
from stackelgrid.controllers.solvers.varying import Varying
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class LinkTerm:
    """Coefficient times a column of one of the joined models, for each link row (rows,)."""

    model: str
    columns: Ints
    coefficient: float


@dataclass(frozen=True)
class Link:
    """Equations sum of terms == right-hand side (parameters, one for each row); named."""

    name: str
    terms: tuple[LinkTerm, ...]


def join_models(
    models: Mapping[str, CompiledModel],
    links: Sequence[Link] = (),
    weights: Mapping[str, float] | None = None,
) -> CompiledModel:
    """Join models side by side; components are renamed `model.component`.

    Each link adds equations whose right-hand sides are parameters `link.NAME`. The objective is
    the sum of the models' objectives times their weights (1 where none is given).
    """
    share = dict.fromkeys(models, 1.0) | dict(weights or {})
    programs = [_weighted(c.program, share[name]) for name, c in models.items()]
    n = np.concatenate([[0], np.cumsum([p.variables for p in programs])])
    count = np.concatenate([[0], np.cumsum([p.q_parameters.shape[1] for p in programs])])
    first = {name: int(n[i]) for i, name in enumerate(models)}

    rows, columns, values = [], [], []
    names: list[NamePart] = []
    link_rows: dict[str, Ints] = {}
    at = 0
    for link in links:
        size = len(link.terms[0].columns)
        for term in link.terms:
            rows.append(at + np.arange(size))
            columns.append(first[term.model] + term.columns)
            values.append(np.full(size, term.coefficient))
        link_rows[f"link.{link.name}"] = np.arange(at, at + size)
        names.append(NamePart(ComponentNames(link.name, range(size)), np.arange(size)))
        at += size
    total = int(n[-1])
    triplets = (
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        if links
        else (np.zeros(0), (np.zeros(0, int), np.zeros(0, int)))
    )
    linking = csr_array(coo_array(triplets, shape=(at, total)))

    stacked = block_diag([p.matrix for p in programs], format="csr")
    shifted = block_diag([p.b_parameters for p in programs], format="csr")
    shifted = csr_array((shifted.data, shifted.indices, shifted.indptr),
                        shape=(shifted.shape[0], int(count[-1]) + at))  # fmt: skip
    # a link's right-hand side is its parameter: b = 0 - (-1) p
    unit = coo_array(
        (-np.ones(at), (np.arange(at), int(count[-1]) + np.arange(at))),
        shape=(at, shifted.shape[1]),
    )
    order, places = stacked_rows(programs)
    matrix = csc_array(vstack([linking, stacked[order]]))
    b_parameters = csr_array(vstack([unit, shifted[order]]))
    widths = (int(count[-1]), at)
    program = ConicProgram(
        quadratic=csc_array(block_diag([p.quadratic for p in programs])),
        matrix=matrix,
        zero=at + sum(p.zero for p in programs),
        nonneg=sum(p.nonneg for p in programs),
        cones=tuple(size for p in programs for size in p.cones),
        q0=np.concatenate([p.q0 for p in programs]),
        q_parameters=_widened(block_diag([p.q_parameters for p in programs]), widths),
        b0=np.concatenate([np.zeros(at), np.concatenate([p.b0 for p in programs])[order]]),
        b_parameters=b_parameters,
        offset0=sum(p.offset0 for p in programs),
        offset_linear=np.concatenate([*(p.offset_linear for p in programs), np.zeros(at)]),
        offset_quadratic=_squared(block_diag([p.offset_quadratic for p in programs]), widths),
        integer=np.concatenate([f + p.integer for f, p in zip(n[:-1], programs, strict=True)]),
        rare=np.sort(
            np.concatenate([at + own[p.rare] for own, p in zip(places, programs, strict=True)])
        ),
        varying=_varying(programs, [at + own for own in places], n, count, at),
        steps=_steps(programs, n),
    )
    return CompiledModel(
        program=program,
        columns={f"{m}.{c}": first[m] + at_ for m, c_ in models.items()
                 for c, at_ in c_.columns.items()},
        parameters={
            **{f"{m}.{c}": int(count[i]) + at_ for i, (m, c_) in enumerate(models.items())
               for c, at_ in c_.parameters.items()},
            **{name: int(count[-1]) + at_ for name, at_ in link_rows.items()},
        },
        rows={
            **{f"{m}.{c}": np.where(at_ < 0, -1, at + places[i][at_])
               for i, (m, c_) in enumerate(models.items()) for c, at_ in c_.rows.items()},
            **link_rows,
        },
        row_names=RowNames(
            [
                *names,
                *(
                    NamePart(c_.row_names, np.flatnonzero(c_.program.kinds == kind), f"{m}.")
                    for kind in range(3)
                    for m, c_ in models.items()
                ),
            ]
        ),
        maximise=False,
    )  # fmt: skip


def _steps(programs: Sequence[ConicProgram], first: Ints) -> tuple[Ints, ...]:
    """Return the columns that link the steps of programs with the same number of steps."""
    known = [(p.steps, at) for p, at in zip(programs, first, strict=False) if p.steps]
    if len({len(steps) for steps, _ in known}) != 1:
        return ()
    return tuple(
        np.concatenate([at + columns for columns, (_, at) in zip(of_step, known, strict=True)])
        for of_step in zip(*(steps for steps, _ in known), strict=True)
    )


def _varying(
    programs: Sequence[ConicProgram],
    places: Sequence[Ints],
    first: Ints,
    count: Ints,
    links: int,
) -> Varying | None:
    """Return the entries of joined programs that depend on data; None without any.

    programs: the programs.
    places: place of each one's rows.
    first: first column of each.
    count: first parameter of each, and their number.
    links: number of links, whose parameters follow.
    """
    parts = [(p.varying, own, at) for p, own, at in zip(programs, places, first, strict=False)]
    found = [(v, own, at) for v, own, at in parts if v is not None]
    if not found:
        return None
    none = [csr_array((0, p.q_parameters.shape[1])) for p in programs]
    blocks = [n if p.varying is None else p.varying.of_parameters
              for p, n in zip(programs, none, strict=True)]  # fmt: skip
    return Varying(
        np.concatenate([own[v.rows] for v, own, _ in found]),
        np.concatenate([at + v.columns for v, _, at in found]),
        np.concatenate([v.constant for v, _, _ in found]),
        _widened(block_diag(blocks), (int(count[-1]), links)),
    )


def _weighted(program: ConicProgram, weight: float) -> ConicProgram:
    if weight == 1.0:
        return program
    return replace(
        program,
        quadratic=weight * program.quadratic,
        q0=weight * program.q0,
        q_parameters=weight * program.q_parameters,
        offset0=weight * program.offset0,
        offset_linear=weight * program.offset_linear,
        offset_quadratic=weight * program.offset_quadratic,
    )


def _widened(matrix: coo_array, widths: tuple[int, int]) -> csr_array:
    m = csr_array(matrix)
    return csr_array((m.data, m.indices, m.indptr), shape=(m.shape[0], sum(widths)))


def _squared(matrix: coo_array, widths: tuple[int, int]) -> csr_array:
    m = coo_array(matrix)
    return csr_array(coo_array((m.data, m.coords), shape=(sum(widths), sum(widths))))


def parameter_values(model: str, values: Mapping[str, Floats | float]) -> dict[str, Floats | float]:
    """Rename the parameter values of one model for the joined program."""
    return {f"{model}.{name}": value for name, value in values.items()}
