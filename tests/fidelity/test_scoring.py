import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from collapsebench.fidelity import (
    features,
    frechet_distance,
    nearest,
    precision_recall,
    protocol_id,
    score,
)
from collapsebench.settings import Score, UserError

TINY = Score(protocol="tiny", extractor="cb-randconv-v1")


def noise(n: int, seed: int, low: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, 256, (n, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def scored(randconv):
    """``score`` on a CPU with what a test does not care about filled in."""

    def call(reference, reconstructions, samples, settings=TINY, cache=None, **options):
        given = {"extractor": randconv, "reference_hash": "data", "device": "cpu"} | options
        return score(reference, reconstructions, samples, settings, cache=cache, **given)

    return call


def test_metrics_are_the_distances_of_the_features(scored, randconv):
    reference, reconstructions, samples = noise(300, 0), noise(300, 1, low=20), noise(280, 2, 40)

    found = scored(reference, reconstructions, samples)

    read = [features(i, randconv, device="cpu") for i in (reference, reconstructions, samples)]
    seen = np.sort(np.random.default_rng(0).permutation(300)[:256])
    real, generated = read[0][seen], read[2][:256]
    rfd, gfd = (frechet_distance(read[0], other[:256]) for other in read[1:])
    expected = {"rfd": rfd, "gfd": gfd, "fd_gap": gfd - rfd}
    expected |= precision_recall(real, generated, 5)
    expected |= {f"{name}_k3": v for name, v in precision_recall(real, generated, 3).items()}
    assert found.metrics == pytest.approx(expected, rel=1e-6)
    assert 0 < rfd < gfd
    np.testing.assert_array_equal(found.neighbours, seen[nearest(generated[:8], real, 3)])


def test_of_more_samples_than_reference_images_the_first_enter_recall(scored):
    reference, samples = noise(60, 0), np.concatenate([noise(60, 0), noise(100, 2, 40)])
    found = scored(reference, reference, samples)
    assert found.protocol["n_prdc"] == 60
    assert found.metrics["recall"] == found.metrics["coverage"] == 1


def test_a_sample_that_copies_a_training_image_is_its_own_neighbour(scored):
    reference = noise(200, 0)
    found = scored(reference, reference, reference[::-1])
    assert found.neighbours[:, 0].tolist() == list(range(199, 191, -1))
    assert found.metrics["gfd"] == pytest.approx(0, abs=1e-6)
    assert found.metrics["precision"] == found.metrics["recall"] == 1


def test_without_samples_only_reconstructions_are_scored(scored):
    found = scored(noise(50, 0), noise(50, 1), None)
    assert found.metrics.keys() == {"rfd"}
    assert found.protocol["n_generated"] == 0
    assert found.neighbours is None


def test_tiny_takes_what_there_is_and_says_how_much(scored):
    protocol = scored(noise(90, 0), noise(80, 1), noise(70, 2)).protocol
    counts = ("n_reference", "n_reconstructions", "n_generated", "n_prdc")
    assert [protocol[name] for name in counts] == [90, 80, 70, 70]
    assert protocol["rankable"] is False


def test_the_record_names_all_that_decides_a_value(scored, randconv):
    protocol = scored(noise(90, 0), noise(80, 1), noise(70, 2)).protocol
    versions, numerics = protocol.pop("versions"), protocol.pop("numerics")
    assert protocol == {
        "name": "tiny",
        "rankable": False,
        "extractor": "cb-randconv-v1",
        "extractor_sha256": randconv.sha256,
        "verified": True,
        "layer": "288",
        "dim": 288,
        "resize": "none, convolution stride max(1, H // 32)",
        "reference_split": "train",
        "reference_hash": "data",
        "n_reference": 90,
        "n_reconstructions": 80,
        "n_generated": 70,
        "n_prdc": 70,
        "k": 5,
        "seed": 0,
    }
    assert set(versions) == {"python", "torch", "torch-fidelity", "prdc", "scikit-learn", "numpy"}
    assert numerics == {"device": "cpu", "dtype": "float32", "tf32": False}


def test_ci_draws_its_reference_by_seed(scored, randconv):
    reference, samples = noise(2_100, 0), noise(2_000, 2)
    settings = Score(protocol="ci", extractor="cb-randconv-v1", seed=7)

    found = scored(reference, noise(2_000, 1), samples, settings)

    drawn = np.sort(np.random.default_rng(7).permutation(2_100)[:2_000])
    read = [features(i, randconv, device="cpu") for i in (reference[drawn], samples)]
    assert found.metrics["gfd"] == pytest.approx(frechet_distance(*read), rel=1e-6)
    assert found.protocol["n_reference"] == found.protocol["n_prdc"] == 2_000
    np.testing.assert_array_equal(found.neighbours, drawn[nearest(read[1][:8], read[0], 3)])


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        ((100, 100, 2_000), "needs 2000 reference images, there are 100"),
        ((2_000, 100, 2_000), "needs 2000 reconstructed images, there are 100"),
        ((2_000, 2_000, 100), "needs 2000 generated images, there are 100"),
    ],
)
def test_other_protocols_refuse_fewer_images(scored, sizes, line):
    images = [noise(n, seed) for seed, n in enumerate(sizes)]
    with pytest.raises(UserError, match=rf"^the protocol 'ci' {line}; [^\n]+$"):
        scored(*images, Score(protocol="ci", extractor="cb-randconv-v1"))


def test_fewer_samples_than_neighbours_are_refused_before_any_feature(scored):
    seen = []
    with pytest.raises(UserError, match=r"^precision and recall at k=5 take 7 [^\n]+ got 6 gen"):
        scored(noise(90, 0), noise(90, 1), noise(6, 2), progress=lambda *n: seen.append(n))
    assert seen == []


def test_samples_that_are_all_the_same_are_refused(scored):
    same = np.repeat(noise(1, 2), 40, axis=0)
    with pytest.raises(UserError, match=r"^all 40 samples are the same image: [^\n]+$"):
        scored(noise(90, 0), noise(90, 1), same)


def test_reconstructions_that_are_all_the_same_have_a_distance(scored):
    same = np.repeat(noise(1, 2), 40, axis=0)
    assert scored(noise(90, 0), same, None).metrics["rfd"] > 0.1


def test_the_reference_is_read_once_per_extractor_and_images(scored, tmp_path):
    def passes(reference, **options):
        read = []
        found = scored(
            reference,
            noise(30, 1),
            noise(20, 2),
            cache=tmp_path / "cache",
            progress=lambda done, total: read.append(total),
            **options,
        )
        return read, found.metrics

    first, fresh = passes(noise(60, 0))
    again, cached = passes(noise(60, 0))
    assert (first, again) == ([60, 30, 20], [30, 20])
    assert cached == fresh

    other, metrics = passes(noise(60, 5))  # the same hash of the data, other images
    assert other == [60, 30, 20]
    assert metrics != fresh

    assert passes(noise(60, 0), settings=dataclasses.replace(TINY, seed=1))[0] == [60, 30, 20]


def test_another_extractor_does_not_find_the_cache(scored, randconv, tmp_path):
    images = noise(60, 0), noise(30, 1), noise(20, 2)
    scored(*images, cache=tmp_path)
    scored(*images, cache=tmp_path, extractor=dataclasses.replace(randconv, sha256="f" * 64))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["torn", "flipped", "foreign"])
def test_a_damaged_cache_is_named_and_replaced(scored, tmp_path, damage):
    images = noise(60, 0), noise(30, 1), noise(20, 2)
    fresh = scored(*images, cache=tmp_path).metrics
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "torn": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "foreign": b"something else",
        }[damage]
    )

    with pytest.warns(UserWarning, match=f"{path.name} is damaged and computed anew"):
        assert scored(*images, cache=tmp_path).metrics == fresh
    assert path.read_bytes() == whole
    assert scored(*images, cache=tmp_path).metrics == fresh


def test_a_cache_of_other_images_under_this_name_is_not_believed(scored, tmp_path):
    scored(noise(60, 0), noise(30, 1), None, cache=tmp_path / "a")
    scored(noise(60, 5), noise(30, 1), None, cache=tmp_path / "b")
    (one,), (other,) = (list((tmp_path / name).iterdir()) for name in "ab")
    one.write_bytes(other.read_bytes())

    with pytest.warns(UserWarning, match="it holds something else"):
        found = scored(noise(60, 0), noise(30, 1), None, cache=tmp_path / "a")
    assert found.metrics == scored(noise(60, 0), noise(30, 1), None).metrics


def test_several_at_once_may_share_a_cache(scored, tmp_path):
    def one(_):
        return scored(noise(60, 0), noise(30, 1), None, cache=tmp_path).metrics["rfd"]

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(one, range(12)))) == 1
    assert len(list(tmp_path.iterdir())) == 1


PROTOCOL = {"name": "tiny", "extractor": "cb-randconv-v1", "n_generated": 256, "k": 5}


def test_protocol_id_is_what_it_was_and_leaves_out_versions():
    assert protocol_id(PROTOCOL) == "b4be72775aff015f"
    assert (
        protocol_id(PROTOCOL | {"versions": {"torch": "3"}, "numerics": {}}) == "b4be72775aff015f"
    )


@pytest.mark.parametrize("change", [{"n_generated": 255}, {"k": 3}, {"extractor": "other"}])
def test_unlike_protocols_have_unlike_ids(change):
    assert protocol_id(PROTOCOL | change) != protocol_id(PROTOCOL)
