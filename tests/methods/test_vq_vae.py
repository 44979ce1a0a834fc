import torch

from collapsebench.methods.vq_vae import VQVAE


def test_forward_by_hand(make, z_e):
    # every element of z_e - z_q is 1 or -1, so both losses are 1
    output = make(VQVAE)(z_e)
    assert output.tokens.tolist() == [[[0, 1]]]
    assert output.z_q.flatten().tolist() == [0.0, 3.0, 0.0, 0.0]
    assert output.loss.item() == 1.25
    assert output.terms["commitment"].item() == 1.0


def test_gradients_of_the_loss_by_hand(make, z_e):
    quantizer = make(VQVAE, beta=0.5)
    quantizer(z_e).loss.backward()
    # mean over 4 elements: 2/4 (c - z) at the codes, half of the opposite at z_e
    assert quantizer.codebook.grad.tolist() == [[-0.5, -0.5], [0.5, -0.5], [0.0, 0.0]]
    assert z_e.grad.flatten().tolist() == [0.25, -0.25, 0.25, 0.25]


def test_decoder_gradient_passes_straight_through(make, z_e):
    quantizer = make(VQVAE)
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2)
    quantizer(z_e).z_q.backward(upstream)
    assert torch.equal(z_e.grad, upstream)
    assert quantizer.codebook.grad is None


def test_beta_zero_leaves_the_encoder_alone(make, z_e):
    make(VQVAE, beta=0.0)(z_e).loss.backward()
    assert z_e.grad.abs().max() == 0


def test_one_code_becomes_the_mean():
    quantizer = VQVAE(1, 2, VQVAE.Settings())
    z_e = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=1.0)
    for _ in range(50):
        optimizer.zero_grad()
        quantizer(z_e).loss.backward()
        optimizer.step()
    torch.testing.assert_close(quantizer.codes()[0], z_e.mean((0, 2, 3)))


def test_pixel_variance_divides_the_reconstruction_error(make):
    x, x_hat = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)
    assert make(VQVAE, pixel_variance=0.5).reconstruction_loss(x_hat, x).item() == 0.5
