"""Random generators of a run: a separate, named stream for each consumer."""

import zlib

import numpy as np

from stackelgrid.scenarios.schema.forecast import DeviationsSection, ForecastSection
from stackelgrid.scenarios.schema.scenario import Scenario


def stream(seed: int, *consumer: str) -> np.random.SeedSequence:
    """Return the seed of a consumer; it depends on the scenario's seed and the names only."""
    words = [zlib.crc32(name.encode()) for name in consumer]
    return np.random.SeedSequence(seed, spawn_key=words)


def generator(seed: int, *consumer: str) -> np.random.Generator:
    """Return the generator of a consumer, seeded by `stream`."""
    return np.random.default_rng(stream(seed, *consumer))


def seed_of(scenario: Scenario, section: ForecastSection | DeviationsSection | None) -> int:
    """Return the seed of a section: its own, or else that of the scenario."""
    own = None if section is None else section.seed
    return scenario.seed if own is None else own
