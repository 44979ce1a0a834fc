import math

import numpy as np
import pytest
import torch

from collapsebench.prior import PixelSNAIL, fit, nll
from collapsebench.prior.fit import learning_rate, split
from collapsebench.settings import Prior, UserError

CPU = torch.device("cpu")
TINY = Prior(
    channels=16, blocks=1, layers=1, epochs=4, batch_size=16, learning_rate=3e-3, held_out=0.1
)


def counting_grids(count, codes=4):
    """Each grid counts upwards, modulo ``codes``, from a random start in each row."""
    start = np.random.default_rng(0).integers(codes, size=(count, 3, 1))
    return ((start + np.arange(4)) % codes).astype(np.uint8)


def with_(settings, **changes):
    return Prior(**(vars(settings) | changes))


class Killed(Exception):
    pass


def test_a_learnable_source_falls_below_its_unigram_entropy():
    settings = with_(TINY, epochs=6, learning_rate=1e-2)
    fitted = fit(counting_grids(150), settings, codebook_size=4, seed=0, device=CPU)
    unigram_entropy = math.log(4)  # the starts are uniform, so every token is
    assert fitted.nll_held_out < 0.7 * unigram_entropy
    assert fitted.nll_train < 0.7 * unigram_entropy
    assert fitted.epochs_run == 6
    assert [step for step, _ in fitted.curve] == [8, 16, 24, 32, 40, 48]
    assert fitted.curve[-1][1]["prior_held_out"] == pytest.approx(fitted.nll_held_out)
    assert fitted.curve[0][1]["prior_loss"] > fitted.curve[-1][1]["prior_loss"]


def test_a_dependence_between_depths_is_learned():
    first = np.random.default_rng(0).integers(4, size=(200, 3, 4))
    tokens = np.stack([first, (first + 1) % 4, 3 - first], -1)  # two depths follow from the first
    settings = with_(TINY, epochs=6, learning_rate=1e-2)
    fitted = fit(tokens, settings, codebook_size=4, seed=0, device=CPU)
    assert fitted.nll_held_out < 1.1 * math.log(4) / 3  # independent depths: log(4)
    assert fitted.nll_held_out > 0.9 * math.log(4) / 3


def fitted(**options):
    settings = with_(TINY, early_stopping=9, dropout=0.2, schedule="cosine", epochs=3)
    return fit(counting_grids(107), settings, codebook_size=4, seed=3, device=CPU, **options)


@pytest.fixture(scope="module")
def straight():
    """The fit that nothing disturbed."""
    return fitted()


@pytest.mark.parametrize("stop", [3, 6, 12], ids=["in epoch 1", "end of epoch", "in epoch 2"])
def test_a_killed_fit_resumes_to_identical_weights(tmp_path, straight, stop):
    path = tmp_path / "prior.pt"

    def kill(step, steps, values):
        assert steps == 18
        if step == stop:
            raise Killed

    with pytest.raises(Killed):
        fitted(checkpoint=path, progress=kill)
    steps = []
    resumed = fitted(checkpoint=path, progress=lambda step, *_: steps.append(step))
    assert steps == list(range(stop + 1, 19))
    assert resumed.curve == straight.curve
    assert resumed.nll_held_out == straight.nll_held_out
    for name, weight in straight.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


def test_a_checkpoint_of_other_tokens_is_not_resumed(tmp_path):
    path = tmp_path / "prior.pt"
    options = {"codebook_size": 4, "device": CPU, "checkpoint": path, "checkpoint_s": 0.0}
    settings = with_(TINY, epochs=1)
    fit(counting_grids(40), settings, seed=0, **options)
    steps = []
    fit(counting_grids(50), settings, seed=0, progress=lambda s, *_: steps.append(s), **options)
    assert steps == [1, 2]
    assert path.with_name("prior.pt.damaged").exists()


@pytest.mark.parametrize("content", [b"", b"torn", "folder", {"identity": 1}, {}, []], ids=str)
def test_a_damaged_checkpoint_is_set_aside(tmp_path, content, capsys):
    path = tmp_path / "prior.ckpt"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    steps = []
    fit(counting_grids(50), with_(TINY, epochs=1), codebook_size=4, seed=0, device=CPU,
        checkpoint=path, progress=lambda step, *_: steps.append(step))  # fmt: skip
    assert steps == [1, 2]
    assert "kept as prior.ckpt.damaged" in capsys.readouterr().out
    assert not path.exists()


def test_early_stopping_keeps_the_best_weights():
    noise = np.random.default_rng(0).integers(4, size=(40, 3, 4))
    settings = with_(TINY, epochs=60, early_stopping=3, learning_rate=1e-2, held_out=0.25)
    fitted = fit(noise, settings, codebook_size=4, seed=0, device=CPU)
    losses = [values["prior_held_out"] for _, values in fitted.curve]
    assert fitted.epochs_run == len(losses) < 60
    assert fitted.epochs_run == int(np.argmin(losses)) + 1 + 3
    assert fitted.nll_held_out == pytest.approx(min(losses))


def test_without_a_held_out_share_all_grids_are_trained_on():
    fitted = fit(
        counting_grids(32), with_(TINY, held_out=0.0, epochs=2), codebook_size=4, seed=0, device=CPU
    )
    assert [step for step, _ in fitted.curve] == [2, 4]
    assert math.isnan(fitted.nll_held_out)


def test_bf16_trains_about_as_well():
    tokens = counting_grids(100)
    results = [
        fit(tokens, with_(TINY, precision=p), codebook_size=4, seed=0, device=CPU)
        for p in ("fp32", "bf16")
    ]
    full, half = (fitted.nll_train for fitted in results)
    assert half != full
    assert half == pytest.approx(full, rel=0.05)


def test_a_loss_that_is_not_finite_names_its_step():
    settings = with_(TINY, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"prior loss is not finite at step [23]$"):
        fit(counting_grids(100), settings, codebook_size=4, seed=0, device=CPU)


@pytest.mark.parametrize("codebooks", [1, 2])
def test_nll_is_the_mean_over_all_tokens_whatever_the_batch_size(codebooks):
    torch.manual_seed(0)
    model = PixelSNAIL(4, 3, 4, TINY, codebooks)
    tokens = counting_grids(10)
    if codebooks > 1:
        tokens = np.stack([tokens, tokens // 2], -1)
    with torch.no_grad():
        log_p = torch.log_softmax(model.eval()(torch.from_numpy(tokens).long()), 1).numpy()
    expected = -np.mean([log_p[n, tokens[n, *at], *at] for n, *at in np.ndindex(*tokens.shape)])
    assert nll(model, tokens, batch_size=10, device=CPU) == pytest.approx(expected, rel=1e-6)
    assert nll(model, tokens, batch_size=3, device=CPU) == pytest.approx(expected, rel=1e-6)


def test_split_is_seeded_disjoint_and_complete():
    tokens = np.arange(100).reshape(100, 1, 1)
    kept, held_out = split(tokens, 0.05, seed=1)
    assert len(held_out) == 5
    assert sorted([*kept.ravel(), *held_out.ravel()]) == list(range(100))
    assert np.array_equal(held_out, split(tokens, 0.05, seed=1)[1])
    assert not np.array_equal(held_out, split(tokens, 0.05, seed=2)[1])
    assert len(split(tokens[:3], 0.05, seed=1)[1]) == 1


def test_cosine_warms_up_over_the_first_30_percent():
    settings = with_(TINY, schedule="cosine", learning_rate=1.0)
    rates = [learning_rate(step, 100, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.04 + 0.96 / 30)
    assert rates[29] == pytest.approx(1.0)
    assert rates[64] == pytest.approx(0.5, abs=1e-5)  # half way down
    assert rates[99] == pytest.approx(0.04 / 1e4)
    assert learning_rate(50, 100, with_(settings, schedule="constant")) == 1.0


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (np.zeros((4, 12), np.uint8), r"shape \(N, H, W\) or \(N, H, W, Q\), got \(4, 12\)"),
        (np.zeros((4, 3, 4, 1), np.uint8), r"got \(4, 3, 4, 1\)"),
        (np.zeros((1, 3, 4), np.uint8), "at least 2 token grids, got 1"),
        (np.full((4, 3, 4), 4, np.uint8), "from 4 to 4 do not fit a codebook of 4 codes"),
    ],
)
def test_tokens_that_no_prior_can_learn_are_refused(tokens, message):
    with pytest.raises(UserError, match=message):
        fit(tokens, TINY, codebook_size=4, seed=0, device=CPU)


def test_early_stopping_needs_held_out_grids():
    settings = with_(TINY, early_stopping=2, held_out=0.0)
    with pytest.raises(UserError, match=r"prior\.early_stopping.*prior\.held_out"):
        fit(counting_grids(40), settings, codebook_size=4, seed=0, device=CPU)
