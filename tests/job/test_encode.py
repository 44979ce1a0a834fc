import math

import numpy as np
import pytest
import torch

from collapsebench import metrics
from collapsebench.datasets import IMAGES
from collapsebench.job import encode, model
from collapsebench.plan import registry

CPU = torch.device("cpu")


def network(method, **settings):
    cls = registry.method_class(method)
    family = registry.network_module(cls.network)
    return model.build(
        cls, family, image_size=32, codebook_size=8, code_dim=4,
        method_settings=cls.Settings(**settings), network_settings=family.Settings(width=8), seed=1,
    ).eval()  # fmt: skip


def images(count=5):
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def test_tokens_and_error_are_those_of_the_model():
    net, data = network("vq_vae"), images()
    encoded = encode.encode(net, data, device=CPU)
    x = torch.from_numpy(data).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        x_hat, quantized = net(x)
    assert encoded.tokens.dtype == np.uint8
    assert np.array_equal(encoded.tokens, quantized.tokens.numpy())
    assert encoded.values["mse"] == pytest.approx(float((x_hat - x).square().mean()), rel=1e-5)
    assert encoded.values["psnr"] == pytest.approx(-10 * math.log10(encoded.values["mse"]))


def test_the_error_does_not_depend_on_the_batches(monkeypatch):
    net, data = network("dvae"), images(7)
    whole = encode.encode(net, data, device=CPU).values
    monkeypatch.setattr(encode, "BATCH", 3)
    parts = encode.encode(net, data, device=CPU).values
    assert parts == pytest.approx(whole, rel=1e-5, abs=1e-7)


def test_posterior_statistics_by_hand():
    posterior = encode.Posterior()
    sure = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    other = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    torn = torch.tensor([0.5, 0.5]).view(1, 2, 1, 1)
    for p in (sure, other, torn, torn):
        posterior.add(p)
    log2 = math.log(2)
    assert posterior.values() == pytest.approx(
        {"entropy_mean": log2 / 2, "entropy_sd": log2 / 2, "mutual_information": log2 / 2}
    )


def test_a_deterministic_method_has_no_posterior_metrics():
    assert set(encode.encode(network("vq_vae"), images(), device=CPU).values) == {"mse", "psnr"}


def test_sampled_tokens_follow_the_posterior():
    p = torch.tensor([0.7, 0.2, 0.1]).view(1, 3, 1, 1).expand(20_000, 3, 1, 1)
    drawn = encode.draw(p, torch.Generator().manual_seed(0))
    share = metrics.counts(drawn.numpy(), 3) / 20_000
    assert share == pytest.approx([0.7, 0.2, 0.1], abs=0.015)


def test_sampled_assignment_is_seeded_and_differs_from_the_arg_max():
    net, data = network("edvae"), images()
    first = encode.encode(net, data, device=CPU, assignment="sample", seed=3).tokens
    again = encode.encode(net, data, device=CPU, assignment="sample", seed=3).tokens
    best = encode.encode(net, data, device=CPU).tokens
    assert np.array_equal(first, again)
    assert not np.array_equal(first, best)


def test_the_probe_draws_no_random_number_and_sees_the_codebook():
    net, data = network("edvae"), images(9)
    probe = encode.Probe(data, CPU)
    before = torch.get_rng_state()
    values = probe(net)
    assert torch.equal(torch.get_rng_state(), before)
    tokens = encode.encode(net, data, device=CPU).tokens
    assert values["perplexity"] == pytest.approx(metrics.perplexity(metrics.counts(tokens, 8)))
    assert 0 < values["uncertainty"] <= 1
    assert probe.maps[0].shape == (8, 8)
    assert 0 <= probe.maps[0].min() <= probe.maps[0].max() <= math.log(8) + 1e-6


def test_the_probe_says_how_the_codebook_stands():
    net, data = network("vq_vae"), images()
    probe = encode.Probe(data, CPU)
    values = probe(net)  # 320 tokens, 8 codes: enough to judge by
    assert probe.standing["relative_perplexity"] == values["perplexity"] / 8
    collapsed = values["perplexity"] / 8 < 0.1 or values["usage"] < 0.5
    assert probe.standing["collapsed"] == collapsed
    with torch.no_grad():
        net.quantizer.codes()[1:] = 1e6  # never the nearest
    probe(net)
    assert probe.standing == {"relative_perplexity": 1 / 8, "collapsed": 1.0}
    without = encode.Probe(data, CPU)
    without(network("continuous"))
    assert without.standing == {}  # there is no codebook to collapse


def test_of_several_codebooks_the_probe_reports_the_worst():
    net, data = network("rq_vae"), images(9)
    net.quantizer.codebook[2, 1:] = 1e6  # the third depth can use one code only
    values = encode.Probe(data, CPU)(net)
    assert (values["perplexity"], values["usage"], values["dead_codes"]) == (1.0, 1 / 8, 7.0)


def test_tokens_of_several_codebooks_decode_to_the_reconstruction():
    net, data = network("rq_vae"), images()
    encoded = encode.encode(net, data, device=CPU)
    assert encoded.tokens.shape == (5, 8, 8, 4)
    decoded = encode.decode(net, encoded.tokens, device=CPU)
    assert np.array_equal(decoded, encoded.reconstructions[:5])


def test_decoding_rounds_half_up_and_clamps():
    x = torch.tensor([-0.2, 0.0, 0.5 / 255, 1.4999 / 255, 1.5]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert IMAGES.stored(x)[0, 0, :, 0].tolist() == [0, 0, 1, 1, 255]


@pytest.mark.parametrize(
    ("size", "dtype"), [(1, np.uint8), (256, np.uint8), (257, np.uint16), (70_000, np.uint32)]
)
def test_tokens_are_stored_as_small_as_they_fit(size, dtype):
    assert encode.smallest_unsigned(size) == dtype
