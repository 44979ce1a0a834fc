"""Files of tokens to inspect."""

import numpy as np
import pytest


@pytest.fixture
def save(tmp_path):
    def write(name, array):
        np.save(tmp_path / f"{name}.npy", array)
        return tmp_path / f"{name}.npy"

    return write
