"""Images and their reconstructions, scored in pairs."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from collapsebench import inspect
from collapsebench.inspect.images import score_images
from collapsebench.settings import UserError


def write_images(folder, images):
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder


def test_images_are_scored_in_pairs(tmp_path):
    real = np.random.default_rng(0).integers(0, 200, (12, 16, 16, 3), dtype=np.uint8)
    a, b = write_images(tmp_path / "real", real), write_images(tmp_path / "recon", real + 51)
    found = score_images(a, b)
    assert (found.count, found.mse) == (12, pytest.approx(0.04))
    assert found.psnr == pytest.approx(-10 * math.log10(0.04))
    assert found.rfd > 0.1
    assert found.rfd_label.startswith("rFD[")
    assert score_images(a, a).rfd == pytest.approx(0, abs=1e-3)


def test_named_weights_are_never_passed_over(tmp_path, monkeypatch):
    folder = write_images(tmp_path / "real", np.zeros((4, 8, 8, 3), dtype=np.uint8))
    weights = tmp_path / "weights.pth"
    monkeypatch.setenv("COLLAPSEBENCH_INCEPTION_WEIGHTS", str(weights))
    with pytest.raises(UserError, match="no Inception weights at"):
        score_images(folder, folder)
    weights.write_bytes(b"another file")
    with pytest.raises(UserError, match="not the published"):
        score_images(folder, folder)


def test_images_without_a_partner_or_of_another_size_are_refused(tmp_path):
    image = np.zeros((3, 8, 8, 3), dtype=np.uint8)
    three, two = write_images(tmp_path / "three", image), write_images(tmp_path / "two", image[:2])
    small = write_images(tmp_path / "small", image[:, :4])
    with pytest.raises(UserError, match=r"1 images of .* have no partner .*'2' first"):
        score_images(three, two)
    with pytest.raises(UserError, match=r"images of \(8, 8\), .*small \(4, 8\)"):
        score_images(three, small)
    with pytest.raises(UserError, match="no such folder"):
        score_images(three, tmp_path / "absent")


def test_equal_images_have_an_endless_psnr_in_every_form(save, tmp_path, capsys):
    image = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), dtype=np.uint8)
    folder = write_images(tmp_path / "real", image)
    found = inspect.inspect(save("t", np.arange(9)), 9, images=(folder, folder))
    inspect.write(found, inspect.FORMATS, tmp_path)
    assert "<td>0.000000</td><td>∞</td>" in (tmp_path / "t.html").read_text()
    assert "4 images: MSE 0.000000, PSNR ∞ dB, rFD[" in capsys.readouterr().out
    values = json.loads((tmp_path / "t.json").read_text(), parse_constant=pytest.fail)
    assert (values["images"]["mse"], values["images"]["psnr"]) == (0, None)
