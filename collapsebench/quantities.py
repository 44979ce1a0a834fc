"""One record per quantity: its name in rows and in print, its unit, which way is better.

Tables, figures, checks, live lines and docs/metrics.md read these records; a quantity without one
prints under its own name. "FID" is a claim about one network, one layer and one number of images:
only what meets it gets the name; every other Fréchet distance prints the extractor it was measured
with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

ARROWS = {"larger": " ↑", "smaller": " ↓", "": ""}


@dataclass(frozen=True)
class Quantity:
    """A metric of the table ``metrics``, or what is logged along training.

    Attributes:
        name: as it stands in rows.
        title: as it is printed, with its factor: "MSE × 10³".
        definition: what it is, with its range.
        better: which way is better; "" where values are not ranked.
        unit: printed behind the title.
        short: the title as heading of a column, where it would be too wide.
        factor: what values are multiplied by before they are printed.
        decimals: printed, after the factor.
        stage: that measures it.
        split: that tables show; distances are from the training images.
        margin: relative change below which a difference does not matter; 0 where none is tested.
        published: its name among the published numbers, "" for none.
        log: whether its axis is logarithmic along training.
        relative: whether each seed is divided by its first point there.
    """

    name: str
    title: str
    definition: str = ""
    better: Literal["larger", "smaller", ""] = ""
    unit: str = ""
    short: str = ""
    factor: float = 1.0
    decimals: int = 2
    stage: str = "encode"
    split: str = "test"
    margin: float = 0.0
    published: str = ""
    log: bool = False
    relative: bool = False

    @property
    def larger(self) -> bool:
        """Whether larger is better; so it is said to be where values are not ranked, too."""
        return self.better != "smaller"

    @property
    def arrow(self) -> str:
        """Towards better, behind a title: " ↓"."""
        return ARROWS[self.better]

    @property
    def scored(self) -> bool:
        """Whether values are of a scoring protocol."""
        return self.stage == "score"

    @property
    def share(self) -> bool:
        """Whether it is printed as a percentage."""
        return self.unit == "%"

    @property
    def bare(self) -> str:
        """The title without its factor: "MSE"."""
        return self.title.partition(" ×")[0]

    @property
    def axis(self) -> str:
        """Title and unit: "KL, nats"."""
        return ", ".join(filter(None, (self.title, self.unit)))

    def column(self, split: str = "") -> str:
        """Heading of a column, with a split where it tells two apart: "NLL, train, nats"."""
        return ", ".join(filter(None, (self.short or self.title, split, self.unit)))

    def printed(self, values: Iterable[float]) -> list[float]:
        """Values in the printed unit."""
        return [value * self.factor for value in values]


NEIGHBOURS = {
    "precision": "share of samples near a reference image, in [0, 1]",
    "recall": "share of reference images near a sample, in [0, 1]",
    "density": "reference neighbourhoods around a sample, mean over samples, / k; from 0",
    "coverage": "share of reference neighbourhoods that hold a sample, in [0, 1]",
}
K3 = ", k\u00a0=\u00a03"
RECORDS = (
    Quantity("perplexity", "perplexity", "exp of the entropy of the counts of all tokens of a "
             "split, in [1, K]", "larger", decimals=1, margin=0.03),
    Quantity("relative_perplexity", "perplexity / codebook size", "perplexity / K, in [1/K, 1]",
             "larger", unit="%", short="relative", factor=100, decimals=1),
    Quantity("perplexity_batch_mean", "perplexity, per batch", "the paper's: mean over batches of "
             "128 rows, the last partial batch dropped; biased low; in [1, K]", "larger",
             decimals=1, published="perplexity"),
    Quantity("usage", "usage", "share of codes chosen at least once, in [1/K, 1]", "larger",
             unit="%", factor=100, decimals=1),
    Quantity("dead_codes", "dead codes", "codes that were never chosen, in [0, K - 1]", "smaller",
             decimals=1),
    Quantity("collapsed", "collapsed", "1 if relative perplexity or usage is below its threshold, "
             "else 0", "smaller", decimals=0),
    Quantity("unigram_entropy", "unigram entropy", "entropy of the counts, in [0, ln K]", "larger",
             unit="nats", decimals=3),
    Quantity("effective_rank", "effective rank", "exp of the entropy of the singular values of the "
             "finite code vectors (Roy and Vetterli 2007), in [1, min(K, D)]", "larger"),
    Quantity("duplicate_codes", "duplicate codes", "finite code vectors that repeat another one, "
             "within 1e-6 of the largest entry; in [0, K - 1]", "smaller", decimals=1),
    Quantity("non_finite_codes", "codes that are not finite", "code vectors with NaN or inf; there "
             "only if there are any", "smaller", decimals=1),
    Quantity("entropy_mean", "posterior entropy", "entropy of the token posteriors, mean over "
             "images and positions, in [0, ln K]", unit="nats"),
    Quantity("entropy_sd", "SD of the posterior entropy", "the same, SD over images and positions",
             unit="nats"),
    Quantity("mutual_information", "mutual information", "entropy of the mean posterior minus the "
             "mean entropy, in [0, ln K]", unit="nats"),
    Quantity("uncertainty", "uncertainty", "K / S of Dirichlet posteriors, mean over images and "
             "positions, in (0, 1]"),
    Quantity("mse", "MSE × 10³", "mean squared error of reconstructions, pixels in [0, 1]",
             "smaller", factor=1e3, margin=0.03, published="mse_e3", log=True),
    Quantity("psnr", "PSNR", "-10 log10 of the mean squared error", "larger", unit="dB"),
    Quantity("normalised_error", "normalised error", "squared error of vectors / squared distance "
             "from the mean, each feature in units of its spread in the train split; from 0, 1 = "
             "as good as the mean", "smaller", decimals=4, margin=0.03, log=True),
    Quantity("best_possible_error", "best possible", "the least normalised error that a quantizer "
             "of as many bits can have; there only where the data are made so", "smaller",
             decimals=4),
    Quantity("excess_error", "excess", "normalised error minus the best possible", "smaller",
             decimals=4),
    Quantity("cosine_similarity", "cosine similarity", "of vectors and their reconstructions, in "
             "the units of the file; mean over positions, in [-1, 1]", "larger", decimals=4),
    Quantity("bits_per_item", "bits per item", "positions x codebooks x log2 K", "smaller",
             decimals=1),
    Quantity("collision_rate", "collision rate", "1 - different token tuples / items, of a split, "
             "in [0, 1)", "smaller", unit="%", factor=100, split="train"),
    Quantity("items_per_tuple", "items per tuple", "items of a split / different token tuples, "
             "from 1", "smaller", decimals=3, split="train"),
    Quantity("largest_tuple", "most items of a tuple", "items of a split that share all their "
             "tokens", "smaller", decimals=1, split="train"),
    Quantity("nll", "NLL", "negative log-likelihood of the tokens under the prior, from 0",
             "smaller", unit="nats per token", decimals=3, stage="prior"),
    Quantity("bits_per_token", "bits per token", "the same in bits", "smaller", decimals=3,
             stage="prior"),
    Quantity("prior_gain", "prior gain", "unigram entropy minus NLL", "larger", unit="nats",
             decimals=3, stage="prior"),
    Quantity("unique_token_grids", "unique token grids", "share of samples whose tokens differ",
             "larger", unit="%", factor=100, decimals=1, stage="sample", split="train"),
    Quantity("unique_images", "unique images", "share of samples whose pixels differ", "larger",
             unit="%", factor=100, decimals=1, stage="sample", split="train"),
    Quantity("rfd", "Fréchet distance of reconstructions", "from the reference: the limit that "
             "encoder, codebook and decoder set", "smaller", stage="score", split="train"),
    Quantity("gfd", "Fréchet distance of samples", "of the prior, from the reference", "smaller",
             stage="score", split="train", margin=0.05, published="fid"),
    Quantity("fd_gap", "gap of the Fréchet distances", "`gfd - rfd`: what the prior adds",
             "smaller", stage="score", split="train"),
    *(
        Quantity(name, name, definition, "larger", stage="score", split="train",
                 published=name if name in ("precision", "recall") else "")
        for name, definition in NEIGHBOURS.items()
    ),
    *(
        Quantity(f"{name}_k3", f"{name}{K3}", f"{name} with k = 3, the original choice", "larger",
                 stage="score", split="train")
        for name in NEIGHBOURS
    ),
    Quantity("loss", "loss / first point", "what is minimised, in the method's own terms",
             stage="train", log=True, relative=True),
    Quantity("kl", "KL", "the loss's divergence from the uniform posterior or prior", unit="nats",
             stage="train", log=True),
    Quantity("z_e_norm", "‖z_e‖", "norm of the encoder's vectors, mean", stage="train", log=True),
    Quantity("code_norm", "‖code‖", "norm of the codes, mean", stage="train"),
    Quantity("code_distance", "‖z_e − code‖", "distance from a vector to its code, mean",
             stage="train", log=True),
    Quantity("lr", "learning rate", "as scheduled", stage="train", log=True),
    Quantity("temperature", "temperature", "of the sampled codes, as scheduled", stage="train"),
    Quantity("beta", "β", "weight of the commitment or of the KL, as scheduled", stage="train",
             log=True),
    Quantity("prior_loss", "prior loss", "of the batches since the last point", "smaller",
             unit="nats per token", decimals=3, stage="prior"),
    Quantity("prior_held_out", "prior loss, held out", "of training tokens that the fit keeps "
             "apart", "smaller", unit="nats per token", decimals=3, stage="prior"),
)  # fmt: skip
QUANTITIES = {record.name: record for record in RECORDS}
ERRORS = ("mse", "normalised_error")  # what reconstructions are judged by: images, other items
TESTED = tuple(record for record in RECORDS if record.margin)  # between methods, tags and versions
LIVE = {  # shown of a job at work -> its name there
    "relative_perplexity": "perplexity / K", "mse": "mse", "normalised_error": "normalised error",
    "prior_held_out": "prior loss, held out",
}  # fmt: skip
EACH = "codebook_"  # begins the names of the rows that hold each of several codebooks

INCEPTION = "inception-v3-compat"
FID_NAMES = {"full": "FID", "quick": "FID_10k"}  # scoring protocol -> name with Inception features
DISTANCES = {"gfd": "{}", "rfd": "r{}", "fd_gap": "{} gap"}


def of(name: str) -> Quantity:
    """The record of a quantity; of one without, its own name in print, and larger as better."""
    return QUANTITIES.get(name) or Quantity(name, name.replace("_", " "))


def worst(name: str, values: Sequence[float]) -> int:
    """Which of several codebooks decides: the index of its worst value, NaN before any other."""
    return int(np.argmin(values) if of(name).larger else np.argmax(values))


def live(values: Mapping[str, Any]) -> str:
    """The last numbers of a job at work: "COLLAPSED, perplexity / K 4.2 %, mse 0.00421"."""
    known = {key: values[key] for key in LIVE if isinstance(values.get(key), float)}
    numbers = [
        f"{LIVE[key]} {percent(value) if of(key).share else f'{value:.3g}'}"
        for key, value in known.items()
    ]
    return ", ".join(["COLLAPSED"] * (values.get("collapsed", 0) > 0) + numbers)


def percent(share: float, decimals: int = 1) -> str:
    """0.9487 -> "94.9 %"."""
    return f"{100 * share:.{decimals}f} %"


def metric_label(metric: str, extractor: str, verified: bool, protocol_name: str) -> str:
    """The printed name of a metric of the score stage.

    Args:
        metric: "gfd", "rfd", "fd_gap"; every other metric keeps its name.
        extractor: id of the feature extractor, as recorded with the value.
        verified: whether the hash of its weights was checked against the published one.
        protocol_name: a key of ``settings.PROTOCOLS``.

    Returns:
        "FID" for prior samples, verified Inception weights and the protocol "full"; "FID_10k" with
        "quick"; else "FD[extractor]". Reconstructions get the prefix "r".
    """
    if metric not in DISTANCES:
        return metric
    named = extractor == INCEPTION and verified and protocol_name in FID_NAMES
    return DISTANCES[metric].format(FID_NAMES[protocol_name] if named else f"FD[{extractor}]")


def duration(seconds: float) -> str:
    """Seconds in the unit one would say them in: "45 s", "12 min", "3.4 h", "6 days", "9 years"."""
    for unit, length, digits, enough in (
        ("s", 1, 0, 90), ("min", 60, 0, 90), ("h", 3600, 1, 48), ("days", 86_400, 0, 730),
    ):  # fmt: skip
        if seconds / length < enough:
            return f"{seconds / length:.{digits}f} {unit}"
    return f"{seconds / (365.25 * 86_400):,.0f} years"
