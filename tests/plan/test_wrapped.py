"""A module of another project as a method: its arguments, layouts, look-ups, ids and training."""

from typing import ClassVar

import pytest
import torch
from torch import nn

from collapsebench.plan import arguments, registry, resolve
from collapsebench.plan.grid import Point
from collapsebench.plan.wrapped import VectorLayout, wrap
from collapsebench.quantizer import Incompatible
from collapsebench.settings import UserError, build, plain
from tests.author.faults.right import PlainVQ, ProjectedVQ, Residual
from tests.conftest import TINY

WORD = "tests.author.faults.right:PlainVQ"


@pytest.mark.parametrize("name", ["bdhw", "bdn", "bnd", "nd"])
def test_layout_there_and_back(name):
    z, form = torch.randn(2, 5, 3, 4), VectorLayout(name)
    native = form.native(z)
    assert torch.equal(form.usual(native, (2, 3, 4)), z)
    assert native.shape[:-1] == form.positions((2, 3, 4)) or name in ("bdhw", "bdn")


class Flattens(nn.Module):
    """Takes (B, D, H, W) and would take anything: it flattens what it gets."""

    def __init__(self, dim: int, codebook_size: int):
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(codebook_size, dim))

    def forward(self, z):
        x = z.movedim(1, -1)
        tokens = torch.cdist(x.reshape(-1, self.codebook.shape[1]), self.codebook).argmin(-1)
        codes = self.codebook[tokens].view(x.shape)
        return z + (codes.movedim(-1, 1) - z).detach(), tokens.view(x.shape[:-1])


@pytest.mark.parametrize(
    ("cls", "layout", "codebooks", "lookup"),
    [
        (PlainVQ, "bnd", 1, "get_codes_from_indices"),
        (ProjectedVQ, "bdhw", 1, "get_codebook_entry"),
        (Residual, "bnd", 3, "get_output_from_indices"),
        (Flattens, "bdhw", 1, ""),
    ],
)
def test_layout_and_lookup_are_found_by_trying(cls, layout, codebooks, lookup):
    method = wrap(cls, cls.__name__)
    quantizer = method(32, 8, method.Settings()).eval()
    assert quantizer.form.name == layout
    assert quantizer.codebooks == codebooks
    assert quantizer.lookup.name == lookup
    with torch.no_grad():
        output = quantizer(torch.randn(2, 8, 5, 6))
    assert torch.allclose(quantizer.embed(output.tokens), output.z_q, atol=1e-6)


def test_trying_draws_nothing_and_changes_nothing():
    method = wrap(PlainVQ, "x")
    torch.manual_seed(3)
    alone = PlainVQ(8, 32).codebook
    drawn = torch.rand(())
    torch.manual_seed(3)
    assert torch.equal(method(32, 8, method.Settings()).module.codebook, alone)
    assert torch.rand(()) == drawn


class Counting(PlainVQ):
    """Counts its calls; in a process group a call may be a collective that others must join."""

    calls: ClassVar[list[int]] = []

    def __init__(self, dim: int, codebook_size: int, decay: float = 0.99):
        super().__init__(dim, codebook_size)

    def forward(self, x):
        self.calls.append(len(x))
        return super().forward(x)


def test_a_module_is_tried_once_for_its_sizes_and_settings():
    method = wrap(Counting, "x")
    first = method(32, 8, method.Settings())
    tried = len(Counting.calls)
    again = method(32, 8, method.Settings())
    assert len(Counting.calls) == tried > 0
    assert (again.form, again.roles, again.lookup) == (first.form, first.roles, first.lookup)
    for size, settings in ((16, method.Settings()), (32, method.Settings(decay=0.5))):
        assert method(size, 8, settings).lookup == first.lookup
        assert len(Counting.calls) > tried
        tried = len(Counting.calls)


class Less(PlainVQ):
    """Evaluation returns less than training, in another order."""

    def forward(self, z):
        vectors, tokens, loss = super().forward(z)
        return (loss, vectors, tokens) if self.training else (tokens, vectors)


def test_evaluation_may_return_less_than_training():
    method = wrap(Less, "less")
    quantizer = method(32, 8, method.Settings())
    z_e = torch.randn(2, 8, 5, 6)
    trained, evaluated = quantizer(z_e), quantizer.eval()(z_e)
    assert torch.equal(trained.tokens, evaluated.tokens)
    assert torch.equal(trained.z_q, evaluated.z_q)
    assert evaluated.loss == 0 < trained.loss


class Asks(nn.Module):
    def __init__(self, dim, n_embed, depth, beta: float = 0.5, hook=print, **further):
        super().__init__()


def test_settings_are_the_arguments_that_json_can_hold():
    settings = arguments.settings_class(Asks)
    assert plain(settings()) == {"depth": None, "beta": 0.5, "further": {}}
    with pytest.raises(Incompatible, match="Asks needs depth: set it, like --set depth"):
        arguments.build(Asks, settings(), 64, 8)
    assert arguments.parted(Asks, {"n_embed": 9, "dim": 4, "beta": 1, "other": 2}) == (
        {"codebook_size": 9, "code_dim": 4}, {"beta": 1, "further": {"other": 2}},
    )  # fmt: skip
    with pytest.raises(UserError, match="did you mean 'beta'"):
        build(settings, {"bta": 1.0}, "x")


def test_a_class_that_is_not_there_is_one_line():
    for word, said in (
        ("tests.author.faults.right:PlainQV", "no class 'PlainQV'; did you mean 'PlainVQ'"),
        ("tests.nowhere:X", "no module named 'tests.nowhere'"),
        ("not_installed_vq:X", r"is it installed\? \(pip install not-installed-vq\)"),
        ("collapsebench.plan.grid:Grid", "is no nn.Module"),
    ):
        with pytest.raises(UserError, match=said):
            registry.method_class(word)


def test_source_and_settings_of_a_class_enter_the_id(data_root, monkeypatch):
    def job(**settings):
        point = Point(WORD, "", "digits", 16, 4, 1, TINY | settings, tuple(settings))
        resolve._code.cache_clear()
        resolve._resolved.cache_clear()
        return resolve.resolve(point, ("train",), "demo", data_root)

    plain_job = job()
    assert plain_job.method == WORD
    assert plain_job.label == "PlainVQ (tests)"
    assert plain_job.kind == "user"
    assert plain_job.files == {}
    assert job(**{"method.beta": 0.5}).job_id != plain_job.job_id
    assert job(**{f"{WORD}.beta": 0.5}).settings["method"]["beta"] == 0.5
    monkeypatch.setattr(registry, "_version", lambda package: "9.9")
    assert job().job_id != plain_job.job_id


def test_a_wrapped_module_trains_in_the_harness(tiny_job, workspace, tmp_path):
    from collapsebench.job import runner

    job = tiny_job(method=WORD)
    runner.run(workspace(job, tmp_path), ("train", "encode"))
    assert (tmp_path / "jobs" / job.job_id / "tokens-test.npy").is_file()


def test_the_packages_classes_are_methods():
    pytest.importorskip("vector_quantize_pytorch")
    for name, size, dim, codebooks in (
        ("VectorQuantize", 64, 8, 1), ("SimVQ", 64, 8, 1), ("FSQ", 64, 8, 1), ("LFQ", 64, 8, 1),
        ("ResidualVQ", 64, 8, 4),
    ):  # fmt: skip
        method = registry.method_class(f"vector_quantize_pytorch:{name}")
        quantizer = method(size, dim, method.Settings()).eval()
        with torch.no_grad():
            output = quantizer(torch.randn(2, dim, 5, 6))
        assert quantizer.codebooks == codebooks
        assert torch.allclose(quantizer.embed(output.tokens), output.z_q, atol=1e-5)
        assert int(output.tokens.max()) < size
    method = registry.method_class("vector_quantize_pytorch:FSQ")
    with pytest.raises(Incompatible, match="no levels are known for 65 codes"):
        method(65, 8, method.Settings())
