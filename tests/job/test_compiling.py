"""A compiled quantizer trains as the plain one does; where there is no compiler, the plain one."""

import numpy as np
import pytest
import torch
from torch._inductor import config

from collapsebench.job import compiling, train
from collapsebench.plan import registry
from tests.job.test_train import CPU, fresh, images, losses

SETTINGS = train.Train(steps=6, horizon=6, batch_size=16, points=6)
COMPILED = [name for name in registry.names("methods") if registry.method_class(name).compiles]


def trained(method):
    return train.fit(fresh(method), images(), SETTINGS, seed=0, device=CPU)


@pytest.mark.parametrize(
    "method",
    [name if name == "ibq" else pytest.param(name, marks=pytest.mark.slow) for name in COMPILED],
)
def test_steps_are_those_of_the_plain_quantizer(method, monkeypatch):
    plain = trained(method)
    monkeypatch.setattr(compiling, "EARNS", 0.0)
    compiled = trained(method)
    assert (plain.variant, compiled.variant) == ("plain", "compiled")
    np.testing.assert_allclose(losses(compiled.curve), losses(plain.curve), rtol=1e-5)


def test_without_a_compiler_nothing_changes(monkeypatch, capsys):
    plain = trained("edvae")
    monkeypatch.setattr(compiling, "EARNS", 0.0)
    torch._dynamo.reset()
    with config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}):
        state = trained("edvae")
    assert state.variant == "plain"
    assert state.curve == plain.curve
    assert "the quantizer is not compiled" in capsys.readouterr().out


def test_short_trainings_and_other_methods_are_left_alone():
    x = torch.rand(16, 3, 32, 32)
    model = fresh("edvae")  # 16 images of 8 x 8 positions, 16 codes
    steps = int(compiling.EARNS / (16 * 8 * 8 * 16))
    assert compiling.faster(model, x, steps - 1) is model.quantizer
    model = fresh("vq_vae")
    assert compiling.faster(model, x, 10**9) is model.quantizer
