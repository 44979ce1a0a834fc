"""Streams with known counts through ``CodebookMonitor``: exact values, whatever brings them."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import collapsebench
from collapsebench import CodebookMonitor, metrics
from collapsebench.methods.fsq import FSQ
from collapsebench.methods.rq_vae import RQVAE
from collapsebench.methods.vq_vae import VQVAE
from collapsebench.monitor import history


def drawn(n, size, seed=0):
    return np.random.default_rng(seed).integers(0, size, n)


def test_a_known_stream_gives_its_exact_values():
    monitor = CodebookMonitor(8)
    monitor.update(np.array([[0, 0], [1, 1]]))
    monitor.update(np.array([2, 2, 3, 3]))
    values = monitor.compute()
    assert values["perplexity"] == pytest.approx(4, abs=1e-12)
    assert values["usage"] == 0.5
    assert values["dead_codes"] == 4
    assert values["collapsed"] == 0
    assert values["unigram_entropy"] == pytest.approx(math.log(4))
    assert values["usage_ceiling"] == pytest.approx(1 - (7 / 8) ** 8)
    assert values["tokens"] == values["window/tokens"] == 8


def test_the_window_and_all_since_reset_stand_side_by_side():
    monitor = CodebookMonitor(4)
    monitor.update(np.array([0, 1, 2, 3]))
    monitor.compute()
    monitor.update(np.array([0, 0, 0, 0]))
    values = monitor.compute()
    assert values["window/usage"] == 0.25
    assert values["usage"] == 1.0
    assert values["window/perplexity"] == 1
    assert values["perplexity"] == metrics.perplexity(np.array([5, 1, 1, 1]))
    monitor.reset()
    monitor.update(np.array([2]))
    assert monitor.compute()["usage"] == 0.25


def test_names_and_values_are_those_of_codebook_metrics():
    tokens, codebook = drawn((40, 5, 5), 16), np.random.default_rng(1).normal(size=(16, 4))
    monitor = CodebookMonitor(16)
    for part in np.split(tokens, 8):
        monitor.update(part, codebook=codebook)
    values = monitor.compute()
    expected = metrics.codebook_metrics(tokens, 16, codebook)
    del expected["perplexity_batch_mean"]  # of batches of 128 rows, not of a pooled count
    assert {name: values[name] for name in expected} == expected
    assert values["effective_rank_ceiling"] == 4
    assert monitor.verdict == metrics.verdict(metrics.counts(tokens, 16))


def test_a_compute_without_news_repeats_itself_and_none_at_all_is_an_error():
    monitor = CodebookMonitor(4)
    with pytest.raises(ValueError, match="no tokens yet"):
        monitor.compute()
    monitor.update([0, 1])
    assert monitor.compute() == monitor.compute()


def test_the_worst_codebook_decides_and_each_keeps_its_own_numbers():
    monitor = CodebookMonitor([4, 2])
    monitor.update(np.stack([[0, 1, 2, 3], [1, 1, 1, 1]], axis=-1))
    values = monitor.compute()
    assert values["0/usage"] == 1.0
    assert values["usage"] == values["1/usage"] == 0.5
    assert values["perplexity"] == 1
    assert values["perplexity_ceiling"] == values["1/perplexity_ceiling"]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_codebooks_lie_on_any_axis(axis):
    tokens = np.stack([drawn((6, 7), 5, seed) for seed in range(3)], axis=axis)
    monitor = CodebookMonitor(5, 3, axis=axis)
    monitor.update(tokens)
    values = monitor.compute()
    for q in range(3):
        assert values[f"{q}/perplexity"] == metrics.perplexity(
            metrics.counts(drawn((6, 7), 5, q), 5)
        )


def test_codebooks_may_have_maps_of_different_sizes():
    monitor = CodebookMonitor([4, 8])
    monitor.update([torch.tensor([[[0, 1], [2, 3]]]), torch.arange(8).reshape(1, 1, 8)])
    values = monitor.compute()
    assert values["0/perplexity"] == pytest.approx(4)
    assert values["1/perplexity"] == pytest.approx(8)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_masked_positions_and_ignored_values_count_for_nothing(kind):
    tokens = kind(np.array([[0, 1, 9], [2, -1, 9]]))
    mask = kind(np.array([[1, 1, 0], [1, 1, 0]]))
    monitor = CodebookMonitor(4, ignore=-1)
    monitor.update(tokens, mask=mask)
    values = monitor.compute()
    assert values["tokens"] == 3
    assert values["usage"] == 0.75


def test_a_mask_of_positions_holds_for_every_codebook():
    monitor = CodebookMonitor(4, 2)
    monitor.update(torch.tensor([[[0, 1], [2, 3]]]), mask=torch.tensor([[True, False]]))
    values = monitor.compute()
    assert values["0/tokens"] == values["1/tokens"] == 1


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_tokens_outside_their_codebook_are_named_by_compute(kind):
    monitor = CodebookMonitor(4, 2)
    monitor.update(kind(np.array([[0, 3], [1, 4], [1, 2**40], [2, -1]])))
    with pytest.raises(ValueError, match=r"3 tokens are outside codebook 1 of 4 codes \(0 to 3\)"):
        monitor.compute()


@pytest.mark.parametrize(
    ("tokens", "more", "said"),
    [
        (np.array([0.0]), {}, "must be integers"),
        (torch.tensor([True]), {}, "must be integers"),
        (np.zeros((2, 3), int), {"mask": np.ones(4)}, "does not fit"),
        (np.zeros((2, 3), int), {"z_e": np.ones((5, 4))}, "no vector for each"),
        (np.zeros((2, 3), int), {"codebook": np.ones((5, 4))}, "do not fit codebooks"),
    ],
)
def test_what_does_not_fit_is_refused_at_once(tokens, more, said):
    monitor = CodebookMonitor(4)
    with pytest.raises(ValueError, match=said):
        monitor.update(tokens, **more)
    assert not monitor.state_dict()["tally"]["bins"].any()


@pytest.mark.parametrize("sizes", [(0, None), ([4, 4], 3), ([], None)])
def test_sizes_that_cannot_be_are_refused(sizes):
    with pytest.raises(ValueError, match="cannot have the sizes"):
        CodebookMonitor(*sizes)


def test_numpy_and_torch_agree():
    rng = np.random.default_rng(3)
    tokens, z, codes = drawn((6, 4, 4), 32), rng.normal(size=(6, 8, 4, 4)), rng.normal(size=(32, 8))
    mask = rng.random((6, 4, 4)) < 0.7
    readings = []
    for kind in (np.asarray, torch.as_tensor):
        monitor = CodebookMonitor(32)
        for half in (slice(0, 3), slice(3, 6)):
            monitor.update(*map(kind, (tokens[half], z[half], codes, mask[half])))
        readings.append(monitor.compute())
    assert readings[0] == pytest.approx(readings[1], rel=1e-12)


@pytest.mark.parametrize("shape", [(6, 5, 4, 4), (6, 4, 4, 5), (96, 5)])
def test_the_moments_of_z_e_are_those_of_all_its_vectors(shape):
    z = np.random.default_rng(0).normal(3.0, 2.0, size=shape)
    flat = (np.moveaxis(z, 1, -1) if shape[1] == 5 and len(shape) == 4 else z).reshape(-1, 5)
    monitor = CodebookMonitor(7)
    for i in range(2):
        monitor.update(drawn((3, 4, 4), 7), z[i * len(z) // 2 : (i + 1) * len(z) // 2])
    values = monitor.compute()
    assert values["window/z_e_variance"] == pytest.approx(flat.var(axis=0).mean(), rel=1e-12)
    centred = flat - flat.mean(axis=0)
    assert values["window/z_e_effective_rank"] == pytest.approx(metrics.effective_rank(centred))


def test_a_restored_monitor_goes_on(tmp_path):
    rng = np.random.default_rng(0)
    stream = [(drawn((4, 8), 16, i), rng.normal(size=(4, 8, 3)), rng.normal(size=(16, 3)))
              for i in range(6)]  # fmt: skip

    def fed(monitor, part, kind):
        for tokens, z, codes in part:
            monitor.update(kind(tokens), kind(z), kind(codes))
        return monitor

    for kind in (np.asarray, torch.as_tensor):
        through = fed(CodebookMonitor(16), stream[:2], kind)
        through.compute()
        fed(through, stream[2:3], kind)
        torch.save(through.state_dict(), tmp_path / "state.pt")
        restored = CodebookMonitor(16)
        restored.load_state_dict(
            torch.load(tmp_path / "state.pt", weights_only=kind is not np.asarray)
        )
        expected, found = (fed(one, stream[3:], kind).compute() for one in (through, restored))
        assert found == expected
        assert restored.updates == 6
        assert restored.readings[0].evidence == through.readings[0].evidence


def test_a_state_is_a_copy_and_of_its_own_sizes():
    monitor = CodebookMonitor(4)
    monitor.update(torch.tensor([0]))
    state = monitor.state_dict()
    monitor.update(torch.tensor([1, 2, 3]))
    assert int(state["tally"]["bins"].sum()) == 1
    with pytest.raises(ValueError, match="does not fit"):
        CodebookMonitor(8).load_state_dict(state)


def test_merged_monitors_are_one_on_the_joined_stream():
    rng = np.random.default_rng(5)
    tokens, z = drawn((8, 9), 16), rng.normal(size=(8, 9, 4))
    halves = [CodebookMonitor(16), CodebookMonitor(16)]
    for monitor, part in zip(halves, (slice(0, 5), slice(5, 8)), strict=True):
        monitor.update(tokens[part], z[part])
    halves[0].merge(halves[1])
    whole = CodebookMonitor(16)
    whole.update(tokens, z)
    assert halves[0].compute() == pytest.approx(whole.compute(), rel=1e-12)
    with pytest.raises(ValueError, match="do not merge"):
        halves[0].merge(CodebookMonitor(8))


def test_to_moves_the_counts():
    monitor = CodebookMonitor(4)
    monitor.update(np.array([0, 1]))
    assert monitor.to("cpu") is monitor
    assert isinstance(monitor.state_dict()["tally"]["bins"], torch.Tensor)
    monitor.update(torch.tensor([2, 3]))
    assert monitor.compute()["usage"] == 1.0


def test_a_logger_gets_one_flat_dictionary_of_floats():
    said = []
    monitor = CodebookMonitor(4, log=said.append)
    monitor.update(np.array([0, 1]))
    values = monitor.compute()
    assert said == [{f"codebook/{n}": v for n, v in values.items()} | {"codebook/updates": 1.0}]
    assert all(type(value) is float for value in said[0].values())


@pytest.mark.parametrize(
    ("method", "size", "dim"), [(VQVAE, 16, 4), (RQVAE, 16, 4), (FSQ, 64, FSQ.dim_for(64))]
)
def test_an_attached_monitor_counts_what_the_quantizer_chose(method, size, dim):
    torch.manual_seed(0)
    quantizer = method(size, dim, method.Settings())
    monitor = CodebookMonitor(size, quantizer.codebooks)
    handle = monitor.attach(quantizer)
    z = torch.randn(4, dim, 6, 6)
    tokens = quantizer.train()(z).tokens
    quantizer.eval()(z)
    handle.remove()
    quantizer.train()(z)
    values = monitor.compute()
    first = tokens if quantizer.codebooks == 1 else tokens[..., 0]
    name = "usage" if quantizer.codebooks == 1 else "0/usage"
    assert values[name] == metrics.usage(metrics.counts(first.numpy(), size))
    assert monitor.updates == 1


class Wrapped(nn.Module):
    """Returns its tokens flat and deep in a nest, as the VQGAN of taming-transformers does."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(8, 3)

    def forward(self, z):
        flat = z.permute(0, 2, 3, 1).reshape(-1, 3)
        tokens = torch.cdist(flat, self.embedding.weight).argmin(dim=1)
        return z, z.sum(), (z.mean(), {"one_hot": z > 0, "min_encoding_indices": tokens})


def test_tokens_are_found_in_a_nest_and_codes_by_their_usual_names():
    torch.manual_seed(0)
    module, monitor = Wrapped(), CodebookMonitor(8)
    monitor.attach(module)
    module(torch.randn(2, 3, 4, 4))
    values = monitor.compute()
    assert values["tokens"] == 32
    assert values["effective_rank"] == metrics.effective_rank(module.embedding.weight.detach())
    assert values["window/z_e_variance"] > 0


def test_a_module_without_tokens_is_named():
    monitor = CodebookMonitor(8)
    module = nn.Linear(3, 3)
    monitor.attach(module)
    with pytest.raises(ValueError, match=r"no integer tokens .*\(float32 \(2, 3\)\)"):
        module(torch.zeros(2, 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_an_update_waits_for_no_gpu():
    monitor = CodebookMonitor([64, 32])
    tokens = torch.stack([torch.randint(size, (8, 9)) for size in (64, 32)], dim=-1).cuda()
    z, codes = torch.randn(8, 9, 4).cuda(), [torch.randn(n, 4).cuda() for n in (64, 32)]
    mask = (torch.rand(8, 9) < 0.5).cuda()
    monitor.update(tokens, z, codes, mask)  # the first one moves the bins there
    torch.cuda.set_sync_debug_mode("error")
    try:
        monitor.update(tokens, z, codes, mask)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert monitor.compute()["0/tokens"] == 2 * int(mask.sum())


def test_a_restored_monitor_says_what_it_knows_and_writes_no_empty_window(tmp_path):
    monitor = CodebookMonitor(4, out=tmp_path / "codes.parquet")
    monitor.update(np.array([0, 1]))
    expected = monitor.compute()
    again = CodebookMonitor(4, out=tmp_path / "codes.parquet")
    again.load_state_dict(monitor.state_dict())
    assert again.compute()["usage"] == expected["usage"]
    assert len(history.read(tmp_path / "codes.parquet")) == 1


def test_arrays_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np; from collapsebench import CodebookMonitor\n"
        "m = CodebookMonitor(4); m.update(np.arange(4), np.eye(4), np.eye(4))\n"
        "print(m.compute()['perplexity'], 'pandas' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.split() == ["4.0", "False"], ended.stderr
    assert collapsebench.CodebookMonitor is CodebookMonitor
