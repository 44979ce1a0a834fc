import io
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from collapsebench.fidelity import load_extractor


@pytest.fixture(scope="session")
def randconv():
    return load_extractor("cb-randconv-v1")


@pytest.fixture(scope="session")
def crops():
    """n random 32 x 32 crops of scikit-learn's two photographs, (n, 32, 32, 3) uint8."""
    photographs = load_sample_images().images

    def draw(n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        height, width, _ = photographs[0].shape
        which, top, left = (rng.integers(end, size=n) for end in (2, height - 31, width - 31))
        places = zip(which, top, left, strict=True)
        return np.stack([photographs[w][t : t + 32, s : s + 32] for w, t, s in places])

    return draw


class RandomInception(FeatureExtractorInceptionV3):
    """Inception's architecture without its weights: what it is given to load is ignored."""

    def load_state_dict(self, state_dict):
        for parameter in self.parameters():
            if parameter.dim() == 4:  # convolutions: keep the scale from layer to layer
                torch.nn.init.kaiming_normal_(parameter)


def write_random_inception(path: Path) -> Path:
    """A weights file in Inception's format whose weights are random."""
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = RandomInception("inception-v3-compat", ["2048"], nothing)
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def random_inception(tmp_path_factory) -> Path:
    return write_random_inception(tmp_path_factory.mktemp("weights") / "random.pth")
