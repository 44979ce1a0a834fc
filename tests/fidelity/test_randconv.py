import hashlib

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.cluster import MiniBatchKMeans
from torch_fidelity import calculate_metrics

from collapsebench.fidelity import features, frechet_distance, randconv, statistics


def ramp(side: int) -> np.ndarray:
    """(1, side, side, 3): a ramp along each axis and across channels, wrapped at 256."""
    row, column, channel = np.mgrid[:side, :side, :3]
    return ((5 * row + 3 * column + 70 * channel) % 256).astype(np.uint8)[None]


def by_hand(image: np.ndarray) -> np.ndarray:
    """The specification in numpy float64 for (H, W, 3) uint8, H = W even."""
    x = (image.transpose(2, 0, 1).astype(float) - 127.5) / 127.5
    stride = max(1, x.shape[1] // 32)
    found = []
    for kernel in (3, 5, 9):
        border = kernel // 2
        padded = np.pad(x, ((0, 0), (border, border), (border, border)), mode="edge")
        windows = sliding_window_view(padded, (kernel, kernel), axis=(1, 2))
        windows = windows[:, ::stride, ::stride]
        weight = np.empty((48, 3, kernel, kernel))
        bits = int.from_bytes(hashlib.shake_256(b"s%d|0" % kernel).digest(18 * kernel**2))
        for position in reversed(range(weight.size)):  # the last sign is the lowest bit
            weight.flat[position] = 1 if bits & 1 else -1
            bits >>= 1
        for index, one in enumerate(weight):
            one -= one.mean() * (index % 2 == 0)
            one /= np.sqrt((one**2).sum())
        maps = np.maximum(np.einsum("chwij,fcij->fhw", windows, weight), 0)
        half = maps.shape[1] // 2
        quarters = [
            maps[::4, rows, columns].mean(axis=(1, 2))
            for rows in (slice(half), slice(half, None))
            for columns in (slice(half), slice(half, None))
        ]
        found += [maps.mean(axis=(1, 2)), np.stack(quarters, axis=1).ravel()]
    return np.concatenate(found)


GOLDEN = {  # feature -> value on the ramp; they change with the extractor's name only
    0: 0.2200304, 1: 0.1647530, 47: 0.1855737, 48: 0.0053686, 95: 0.5578488,
    96: 0.1350143, 143: 0.2293468, 191: 0.2781852, 192: 0.2284393, 287: 0.0108026,
}  # fmt: skip


def test_golden_features_of_a_ramp(randconv):
    found = features(ramp(32), randconv, device="cpu")[0]
    assert found.shape == (288,)
    assert {i: found[i] for i in GOLDEN} == pytest.approx(GOLDEN, abs=1e-5)


@pytest.mark.parametrize("side", [8, 32, 64])
def test_features_follow_the_specification(randconv, side):
    found = features(ramp(side), randconv, device="cpu")[0]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(ramp(side)[0]), atol=1e-5)


def test_filters_have_unit_norm_and_every_second_one_no_mean():
    for kernel in randconv.KERNELS:
        weight = randconv.filters(kernel)
        assert weight.flatten(1).norm(dim=1).numpy() == pytest.approx(np.ones(48), abs=1e-6)
        means = weight.flatten(1).mean(dim=1).abs()
        assert means[::2].max() < 1e-7
        assert means[1::2].max() > 1e-3


def test_other_signs_are_refused_at_construction(monkeypatch):
    monkeypatch.setattr(randconv, "SIGNS_SHA256", "0" * 64)
    with pytest.raises(RuntimeError, match="does not give the signs"):
        randconv.RandomConvolutions(randconv.NAME, [randconv.LAYER])


def test_features_do_not_depend_on_the_batch_size(randconv, crops):
    images = crops(10, 0)
    one, all_at_once = (features(images, randconv, device="cpu", batch_size=b) for b in (1, 10))
    np.testing.assert_allclose(one, all_at_once, atol=1e-6)


def test_read_only_images_and_progress(randconv, crops):
    images = crops(40, 0)
    images.setflags(write=False)
    seen = []

    features(
        images, randconv, device="cpu", batch_size=1, progress=lambda *counts: seen.append(counts)
    )

    assert seen == [(16, 40), (32, 40), (40, 40)]


@pytest.mark.parametrize("wrong", [np.zeros((2, 8, 8, 3)), np.zeros((2, 3, 8, 8), np.uint8)])
def test_other_arrays_are_refused(randconv, wrong):
    with pytest.raises(ValueError, match=r"must be \(N, H, W, 3\) uint8"):
        features(wrong, randconv, device="cpu")


class Bare(torch.utils.data.Dataset):
    def __init__(self, images):
        self.images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


def test_torch_fidelity_uses_it_for_fid_kid_and_prc(randconv, crops):
    a, b = crops(60, 0), crops(60, 1)
    found = calculate_metrics(
        input1=Bare(a), input2=Bare(b), feature_extractor=randconv.name, cuda=False, verbose=False,
        fid=True, kid=True, prc=True, kid_subset_size=60, kid_subsets=1, save_cpu_ram=True,
    )  # fmt: skip

    x, y = (features(images, randconv, device="cpu") for images in (a, b))
    assert found["frechet_inception_distance"] == frechet_distance(x, y)
    assert found["kernel_inception_distance_mean"] == pytest.approx(kid(x, y), rel=1e-4)
    assert 0 < found["recall"] <= 1


def kid(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared MMD with the kernel (x.y / F + 1)^3: Binkowski et al., ICLR 2018."""
    x, y = x.astype(float), y.astype(float)
    n, size = x.shape

    def kernel(a, b):
        return (a @ b.T / size + 1) ** 3

    def off_diagonal(matrix):
        return (matrix.sum() - np.trace(matrix)) / (n * (n - 1))

    return off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y)) - 2 * kernel(x, y).mean()


def patches(images):
    return images.reshape(-1, 8, 4, 8, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 48)


def assembled(patches):
    grid = np.rint(patches).clip(0, 255).astype(np.uint8).reshape(-1, 8, 8, 4, 4, 3)
    return grid.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 32, 32, 3)


def test_a_smaller_codebook_is_farther_from_real_patches(randconv, crops):
    def distance(images):
        return frechet_distance(real, features(images, randconv, device="cpu"))

    real = statistics(features(crops(200, 0), randconv, device="cpu"))
    images = crops(200, 1)
    pieces = patches(images).astype(np.float32)
    rng = np.random.default_rng(0)
    found = [distance(images)]
    for size in (512, 256, 128, 32, 8):
        fit = MiniBatchKMeans(size, n_init=1, max_iter=2, batch_size=2048, random_state=0)
        codebook = fit.fit(pieces[rng.permutation(len(pieces))[:4096]]).cluster_centers_
        tokens = fit.predict(pieces)
        found.append(distance(assembled(codebook[tokens])))

    assert found == sorted(found)
    assert found[-1] > 1.5 * found[1]
    independent = distance(assembled(codebook[rng.permutation(tokens)]))
    assert independent > 10 * found[-1]
