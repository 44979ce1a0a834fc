import hashlib
import pathlib

import numpy as np
import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from collapsebench.fidelity import (
    download_inception,
    features,
    hub_weights,
    inception_weights,
    load_extractor,
    weights,
)
from collapsebench.settings import UserError

INCEPTION = "inception-v3-compat"


@pytest.fixture(autouse=True)
def empty_hub(monkeypatch, tmp_path):
    monkeypatch.delenv("COLLAPSEBENCH_INCEPTION_WEIGHTS", raising=False)
    folder, before = tmp_path / "hub", torch.hub.get_dir()
    torch.hub.set_dir(str(folder))
    yield folder
    torch.hub.set_dir(before)


def file(path, content=b"weights"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_first_place_that_is_named_counts(empty_hub, monkeypatch, tmp_path):
    hub = file(empty_hub / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth")
    assert inception_weights(None) == hub == hub_weights()

    variable = file(tmp_path / "variable.pth")
    monkeypatch.setenv("COLLAPSEBENCH_INCEPTION_WEIGHTS", str(variable))
    assert inception_weights(None) == variable

    explicit = file(tmp_path / "explicit.pth")
    assert inception_weights(explicit) == explicit


def test_missing_weights_are_one_line_that_names_what_can_be_done():
    with pytest.raises(UserError, match=r"^no Inception weights at ") as caught:
        load_extractor(INCEPTION)
    line = str(caught.value)
    assert "\n" not in line
    for way in (
        "--inception-weights PATH",
        "COLLAPSEBENCH_INCEPTION_WEIGHTS",
        "collapsebench data prepare inception",
        "cb-randconv-v1",
    ):
        assert way in line


def test_a_named_file_that_is_absent_is_not_replaced_by_another(monkeypatch, tmp_path):
    monkeypatch.setenv("COLLAPSEBENCH_INCEPTION_WEIGHTS", str(file(tmp_path / "there.pth")))
    with pytest.raises(UserError, match=r"absent\.pth"):
        inception_weights(tmp_path / "absent.pth")


def test_a_wrong_hash_is_refused(tmp_path):
    path = file(tmp_path / "other.pth")
    line = f"^Inception weights at {path} have SHA-256 {sha256(path)[:12]}..., not the published "
    with pytest.raises(UserError, match=line + "6726825d0af5"):
        load_extractor(INCEPTION, path)


def test_unverified_weights_get_another_id(random_inception):
    extractor = load_extractor(INCEPTION, random_inception, allow_unverified=True)
    assert extractor.id == f"inception-v3-compat@{sha256(random_inception)[:12]}"
    assert not extractor.verified


def test_inception_features_equal_torch_fidelity_own(random_inception, crops):
    extractor = load_extractor(INCEPTION, random_inception, allow_unverified=True)
    images = crops(3, 0)
    theirs = FeatureExtractorInceptionV3(INCEPTION, ["2048"], str(random_inception))
    (expected,) = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))

    found = features(images, extractor, device="cpu")

    assert found.std() > 0
    np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("size", [0, 7, 100_000])
def test_a_corrupt_file_is_one_line(random_inception, tmp_path, crops, size):
    path = file(tmp_path / "torn.pth", random_inception.read_bytes()[:size])
    extractor = load_extractor(INCEPTION, path, allow_unverified=True)
    with pytest.raises(UserError, match=rf"^no Inception weights in {path}: [^\n]+$"):
        features(crops(1, 0), extractor, device="cpu")


@pytest.mark.parametrize("state", [{"fc.bias": torch.zeros(3)}, [torch.zeros(3)]])
def test_another_network_is_one_line(state, tmp_path, crops):
    path = tmp_path / "other.pth"
    torch.save(state, path)
    extractor = load_extractor(INCEPTION, path, allow_unverified=True)
    with pytest.raises(UserError, match=rf"^{path} does not fit inception-v3-compat: [^\n]+$"):
        features(crops(1, 0), extractor, device="cpu")


class Payload:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return pathlib.Path.touch, (self.target,)


def test_code_in_an_unverified_file_does_not_run(tmp_path, crops):
    path, touched = tmp_path / "payload.pth", tmp_path / "touched"
    torch.save({"fc.bias": Payload(touched)}, path)
    extractor = load_extractor(INCEPTION, path, allow_unverified=True)
    with pytest.raises(UserError, match="no Inception weights in"):
        features(crops(1, 0), extractor, device="cpu")
    assert not touched.exists()


def test_a_file_that_changes_after_its_hash_is_not_loaded(tmp_path, crops):
    path = file(tmp_path / "first.pth")
    extractor = load_extractor(INCEPTION, path, allow_unverified=True)
    file(path, b"second")
    with pytest.raises(UserError, match="changed while they were in use"):
        features(crops(1, 0), extractor, device="cpu")


def test_unknown_extractor():
    with pytest.raises(UserError, match="unknown extractor 'inception'; did you mean 'inception-v"):
        load_extractor("inception")


def test_download_keeps_only_the_published_file(monkeypatch, tmp_path):
    source = file(tmp_path / "source.pth", b"published")
    target = tmp_path / "folder" / "weights.pth"
    monkeypatch.setattr(weights, "URL_INCEPTION_V3", source.as_uri())

    with pytest.raises(UserError, match=r"^could not fetch .* what arrived has SHA-256"):
        download_inception(target)
    assert list(target.parent.iterdir()) == []

    monkeypatch.setattr(weights, "INCEPTION_SHA256", sha256(source))
    assert download_inception(target) == target
    assert target.read_bytes() == b"published"
    assert list(target.parent.iterdir()) == [target]


def test_download_without_a_connection_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "URL_INCEPTION_V3", (tmp_path / "nothing").as_uri())
    with pytest.raises(UserError, match=r"^could not fetch file:[^\n]+$"):
        download_inception(tmp_path / "weights.pth")
