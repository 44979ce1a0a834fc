"""The nearest code with one vector, one code, and more codes than vectors."""

import pytest
import torch

from collapsebench.methods.cvq_vae import CVQVAE
from collapsebench.methods.diveq import DiVeQ
from collapsebench.methods.nsvq import NSVQ
from collapsebench.methods.rotation_vq import RotationVQ
from collapsebench.methods.sim_vq import SimVQ
from collapsebench.methods.vq_reset import VQReset


@pytest.mark.parametrize(("codes", "vectors"), [(1, 4), (8, 1), (1, 1), (64, 4), (4, 4)])
@pytest.mark.parametrize("method", [VQReset, CVQVAE, RotationVQ, SimVQ, NSVQ, DiVeQ])
def test_training_and_evaluation_work_at_the_edges_of_size(method, codes, vectors):
    torch.manual_seed(0)
    quantizer = method(codes, 2, method.Settings())
    quantizer.initialize(torch.randn(1, 2, 1, vectors))
    for _ in range(3):
        z_e = torch.randn(1, 2, 1, vectors).requires_grad_()
        output = quantizer(z_e)
        (output.z_q.sum() + output.loss).backward()
        quantizer.update(z_e.detach(), output.tokens)
        assert z_e.grad.isfinite().all()
    assert quantizer.codes().isfinite().all()
    output = quantizer.eval()(torch.randn(1, 2, 1, vectors))
    assert torch.equal(output.z_q, quantizer.embed(output.tokens))
