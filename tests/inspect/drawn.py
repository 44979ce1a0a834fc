"""Tokens drawn at random, their codes used as evenly as is asked."""

import numpy as np


def draw(shape, size, concentration, seed=0):
    rng = np.random.default_rng(seed)
    return rng.choice(size, size=shape, p=rng.dirichlet(np.full(size, concentration)))
