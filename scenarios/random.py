"""Random generators of a run: one child stream for each consumer, named, so that none shares."""

import zlib

import numpy as np


def stream(seed: int, *consumer: str) -> np.random.SeedSequence:
    """Seed of one consumer; depends on the scenario's seed and the consumer's names only."""
    words = [zlib.crc32(name.encode()) for name in consumer]
    return np.random.SeedSequence(seed, spawn_key=words)


def generator(seed: int, *consumer: str) -> np.random.Generator:
    """Generator of one consumer, from its `stream`."""
    return np.random.default_rng(stream(seed, *consumer))
