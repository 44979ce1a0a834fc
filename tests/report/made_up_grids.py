"""Made-up results of whole grids: a sweep, every method, the paper's tables, several lengths."""

import json

from collapsebench.results import disk
from tests.report.made_up import FLOORS, MODERN, PAPER, MadeUp

PAPER_TRAIN = {"steps": 150_000, "horizon": 150_000, "ramp": 50_000}


def sweep(results, **changes):
    """A codebook-size sweep of the six methods on two datasets."""
    defaults = dict(
        name="codebook_size", datasets=("cifar10", "celeba"), stages=("train", "encode"),
        sizes=tuple((k, 16) for k in (128, 256, 512, 1024, 2048)), reproduces=("fig6_size",),
        scale="paper", scale_note="", train=PAPER_TRAIN, files=False,
    )  # fmt: skip
    return MadeUp(results, **defaults | changes)


def zoo(results, **changes):
    """All shipped methods and a user's on one network; some cannot have the smallest size."""
    defaults = dict(
        name="zoo", methods=("my_vq", *PAPER, *MODERN, *FLOORS), datasets=("cifar10",),
        sizes=tuple((k, 16) for k in (64, 128, 256, 512, 1024)), networks=("vqvae",),
        reproduces=("fig6_size",), train=PAPER_TRAIN | {"steps": 20_000}, scale="cpu",
        ends={("fsq", "cifar10", 64): ("train", "incompatible", "FSQ cannot have 64 codes; the "
                                       "nearest it can have: 60, 75")},
    )  # fmt: skip
    return MadeUp(results, **defaults | changes)


def tables(results, **changes):
    """Tables 1-4 as the paper has them, with a user's method and every kind of bad end."""
    defaults = dict(
        name="tables", methods=(*PAPER, "my_vq"), datasets=("cifar10", "celeba", "lsun_church"),
        sizes=((512, 16),), scale="paper", scale_note="", train=PAPER_TRAIN, protocol="full",
        values=_paper_like(), devices={1: "another processor"},
        ends={
            ("gs_vq_vae", "celeba", 1): ("train", "diverged", "loss is nan by step 4000"),
            ("vq_ste_pp", "lsun_church", 42): ("train", "error", "RuntimeError: something broke"),
            **_all("dvae", "lsun_church", "diverged", "loss is inf by step 10"),
            **_all("sq_vae", "lsun_church", "incompatible", "needs an even code_dim"),
            **_all("vq_vae_ema", "lsun_church", None, ""),
            ("edvae", "lsun_church", 1): ("train", None, ""),
            ("edvae", "lsun_church", 1773): ("train", None, ""),
            ("my_vq", "celeba", 1): ("score", "out_of_memory", "tried to allocate 12 GiB"),
        },
    )  # fmt: skip
    return MadeUp(results, **defaults | changes)


def _all(method, dataset, status, message):
    return {(method, dataset, seed): ("train", status, message) for seed in (42, 1773, 1)}


def _paper_like():
    """Values near the published ones where a test or a reader compares."""
    return {
        ("edvae", "cifar10", "perplexity_batch_mean", "test"): (418.0, 421.0, 424.0),
        ("dvae", "cifar10", "perplexity_batch_mean", "test"): (250.0, 248.0, 252.0),
        ("my_vq", "cifar10", "perplexity_batch_mean", "test"): (430.0, 436.0, 433.0),
        ("vq_vae_ema", "cifar10", "perplexity_batch_mean", "test"): (40.0, 41.0, 42.0),
        ("vq_vae_ema", "cifar10", "collapsed", "test"): (1.0, 1.0, 0.0),
        ("edvae", "cifar10", "mse", "test"): (2.97e-3, 3.0e-3, 3.03e-3),
        ("edvae", "cifar10", "gfd", "train"): (50.0, 52.0, 54.0),
    }


def of_lengths(results, *steps, **made):
    """One grid of trainings of several lengths, each with the whole schedule; the folder."""
    lengths = [
        MadeUp(results, train={"steps": n, "horizon": n, "ramp": 150_000}, **made) for n in steps
    ]
    for length in lengths:
        length.write()
    path = results / "grids" / f"{lengths[0].name}.json"
    jobs = [job for length in lengths for job in length.jobs()]
    disk.write_json(path, json.loads(path.read_text()) | {"jobs": jobs})
    return results
