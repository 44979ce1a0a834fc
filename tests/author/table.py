"""What lint says about every shipped method and every quantizer of vector-quantize-pytorch.

    python -m tests.author.table          # prints the two tables of docs/lint.md

A finding that is not ok stands with a verdict of ours, looked at by hand: real, intended or ours.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator

from collapsebench.author.lint import isolated
from collapsebench.author.lint.findings import CANNOT, NOTE, OK, Findings
from collapsebench.author.lint.request import LintRequest, parse_settings
from collapsebench.plan import registry
from collapsebench.settings import UserError

PACKAGE = "vector_quantize_pytorch"
CLASSES: dict[str, tuple[str, ...]] = {  # class -> settings, "a=1 b=2", tried beside its defaults
    "VectorQuantize": ("", "threshold_ema_dead_code=2", "codebook_dim=4", "use_cosine_sim=true",
                       "ema_update=false learnable_codebook=true", "kmeans_init=true",
                       "accept_image_fmap=true", "affine_param=true"),
    "ResidualVQ": ("", "threshold_ema_dead_code=2", "shared_codebook=true"),
    "GroupedResidualVQ": ("groups=2 num_quantizers=2 codebook_size=64",),
    "SimVQ": ("", "rotation_trick=false"),
    "ResidualSimVQ": ("",),
    "FSQ": ("", "levels=[8,5,5]", "dim=8"),
    "ResidualFSQ": ("",),
    "GroupedResidualFSQ": ("groups=2 dim=4 levels=[8,8] num_quantizers=2",),
    "FSP": ("",),
    "LFQ": ("", "spherical=true", "commitment_loss_weight=0.25"),
    "ResidualLFQ": ("",),
    "GroupedResidualLFQ": ("groups=2 dim=12 codebook_size=64 num_quantizers=2",),
    "LatentQuantize": ("levels=[8,8] dim=2",),
    "HierarchicalVQ": ("scales=[1,2,4]",),
    "RandomProjectionQuantizer": ("codebook_dim=8",),
    "BinaryMapper": ("bits=6",),
}  # fmt: skip

# (subject, check) -> real | intended | ours, and why. A subject is a method's name or a class's.
JUDGED: dict[tuple[str, str], str] = {
    ("kmeans", "encoder_gradient"): "intended: a floor, fitted after a continuous training",
    ("kmeans", "commitment"): "intended: the same",
    ("VectorQuantize", "encoder_gradient"): "intended: codes are shifted by batch statistics",
    ("VectorQuantize", "evaluation"): "real: the batch's statistics are kept in eval too",
    ("VectorQuantize", "token_round_trip"): "follows",
    ("VectorQuantize", "decoding"): "follows",
    ("VectorQuantize", "save_load"): "real: buffers that are None until the first batch",
    ("VectorQuantize", "masked"): "real: a mask and codebook_dim do not go together",
    ("FSQ", "commitment"): "intended: a lattice needs none",
    ("ResidualFSQ", "commitment"): "intended: the same",
    ("GroupedResidualFSQ", "commitment"): "intended: the same",
    ("FSP", "encoder_gradient"): "intended: noise in training",
    ("LatentQuantize", "codebook_learns"): "real: its losses take the straight-through output",
    ("LatentQuantize", "commitment"): "follows",
    ("HierarchicalVQ", "built"): "ours: tokens of several scales, none per position",
    ("RandomProjectionQuantizer", "built"): "intended: it gives tokens alone",
    ("BinaryMapper", "built"): "ours: it takes bits and gives one-hot rows, no vectors",
} | {
    (name, "codebook_learns"): "intended: codes that are not learned"
    for name in ("FSQ", "ResidualFSQ", "GroupedResidualFSQ", "FSP", "LFQ", "ResidualLFQ",
                 "GroupedResidualLFQ")
}  # fmt: skip


def lines(subject: str, found: Findings) -> list[str]:
    """A row for each finding that is not ok, or one that says so."""
    rows = []
    for finding in found:
        quiet = finding.verdict == NOTE and finding.check in ("beta_side", "two_processes")
        if finding.verdict == OK or quiet:
            continue
        check = "built" if finding.check == "runs" else finding.check
        judged = JUDGED.get((subject.split(" ")[0], check), "")
        text = finding.text.replace("|", "\\|")
        rows.append(f"| `{subject}` | {finding.verdict} | `{finding.check}` | {text} | {judged} |")
    return rows or [f"| `{subject}` | ok | | | |"]


def refused(subject: str, error: UserError) -> list[str]:
    """The row of a class that no word on the command line can build."""
    judged = JUDGED.get((subject.split(" ")[0], "built"), "")
    return [f"| `{subject}` | {CANNOT} | | {error} | {judged} |"]


def rows(word: str, subject: str, given: str) -> list[str]:
    """What lint says of one subject."""
    try:
        return lines(subject, isolated.lint(LintRequest(word, parse_settings(given.split()))))
    except UserError as error:
        return refused(subject, error)


def subjects() -> Iterator[tuple[str, str, str]]:
    """(subject, word on the command line, settings) of every shipped method and class."""
    for name in registry.names("methods"):
        yield name, name, ""
    for name, choices in CLASSES.items():
        for given in choices:
            yield f"{name} {given}".strip(), f"{PACKAGE}:{name}", given


def main() -> None:
    """Prints both tables."""
    head = "| subject | verdict | check | what was measured | looked at |\n|---|---|---|---|---|"
    package = f"`{PACKAGE}` {importlib.metadata.version(PACKAGE.replace('_', '-'))}"
    only, titles = set(sys.argv[1:]), {False: "Shipped methods", True: package}
    for subject, word, given in subjects():
        if title := titles.pop(word.startswith(PACKAGE), ""):
            print(f"### {title}\n\n{head}")
        if not only or subject.split(" ")[0] in only:
            print(*rows(word, subject, given), sep="\n", flush=True)


if __name__ == "__main__":
    main()
