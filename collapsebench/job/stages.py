"""What each stage of a job does: workspace -> rows, facts about the run, files made.

What a stage leaves on disk (model, tokens, prior, samples) is the input of the next. All else there
is to know of a stage stands in ``settings.PIPELINE``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.torch import load_file
from safetensors.torch import save as weights_as_bytes
from torch import nn

from collapsebench import metrics, prior, quantities
from collapsebench.job import encode, train
from collapsebench.job.workspace import Workspace
from collapsebench.quantizer import Incompatible
from collapsebench.results import disk
from collapsebench.settings import (
    CODEBOOK,
    ENTROPY_MAPS,
    MODEL,
    NEIGHBOURS,
    PRIOR,
    PROTOCOLS,
    SAMPLE_GRID,
    SAMPLE_TOKENS,
    SAMPLES,
    SPLITS,
    tokens_file,
)

Rows = dict[str, list[dict[str, Any]]]
Facts = dict[str, Any]  # columns of `runs`
Result = tuple[Rows, Facts, list[str]]


def function(stage: str) -> Callable[[Workspace], Result]:
    """The function of a stage, by its name."""
    function: Callable[[Workspace], Result] = globals()[f"{stage}_stage"]
    return function


def train_stage(workspace: Workspace) -> Result:
    """Items -> a trained model and its curve."""
    settings = workspace.job.group("train")
    model, items = workspace.fresh_model(), workspace.items
    probe = encode.Probe(items.train, workspace.device, items.form)
    if (count := len(items.train)) < settings.batch_size:
        noun, batch = items.form.noun, settings.batch_size
        print(f"train: {count} {noun} are fewer than a batch of {batch}", flush=True)
    state = train.fit(
        model,
        items.train,
        settings,
        seed=workspace.job.seed,
        device=workspace.device,
        form=items.form,
        probe=probe,
        report=lambda step, values: workspace.report(
            "train", step, settings.steps, values | probe.standing
        ),
        stop=lambda: bool(workspace.stop()),
        checkpoint=workspace.checkpoint("train"),
        checkpoint_s=workspace.order.checkpoint_s,
        identity=workspace.job.job_id,
    )
    files = save_weights(workspace.folder / MODEL, model)
    if state.maps:
        files += save_arrays(workspace.folder, {ENTROPY_MAPS: np.stack(state.maps)})
    facts = {
        "steps": state.step,
        "variant": state.variant,
        "items_per_s": state.step * settings.batch_size / workspace.elapsed(),
        **model.parameter_counts(),
    }
    return {"curves": curve_rows(state.curve)}, facts, files


def encode_stage(workspace: Workspace) -> Result:
    """Items -> tokens of all splits, reconstruction and codebook metrics."""
    model, form = workspace.model, workspace.items.form
    size, codebooks = model.quantizer.codebook_size, model.quantizer.codebooks
    codes = model.quantizer.codes()
    codebook = None if codes is None else codes.cpu().numpy()
    rows: Rows = {"metrics": [], "codes": []}
    files = [] if codebook is None else save_arrays(workspace.folder, {CODEBOOK: codebook})
    for split in SPLITS:
        items = getattr(workspace.items, split)
        encoded = encode.encode(
            model,
            items,
            device=workspace.device,
            form=form,
            assignment=workspace.job.settings["encode"]["assignment"],
            seed=workspace.job.seed,
        )
        files += save_arrays(workspace.folder, {tokens_file(split): encoded.tokens})
        error = encoded.values[form.error]
        values = encoded.values | form.of_tokens(encoded.tokens, size, codebooks, error)
        rows["metrics"] += metric_rows(values, split, len(items))
        used = by_codebook(encoded.tokens, codebooks)
        for table, added in token_rows(used, size, codebook, split).items():
            rows[table] += added
        said = {row["metric"]: row["value"] for row in rows["metrics"] if row["split"] == split}
        workspace.progress("encode", SPLITS.index(split) + 1, len(SPLITS), said)
        if split == "test":
            shown = np.stack([items[: len(encoded.reconstructions)], encoded.reconstructions])
            files += save_shown(workspace.folder / form.file, shown)
    count = sum(len(getattr(workspace.items, split)) for split in SPLITS)
    facts = {"items_per_s": count / workspace.elapsed(), **model.parameter_counts()}
    return rows, facts, files


def prior_stage(workspace: Workspace) -> Result:
    """Training tokens -> a PixelSNAIL; of each split its likelihood beside the unigram entropy.

    Both are per token, and of several codebooks means over them.
    """
    job, settings = workspace.job, workspace.job.group("prior")
    codebooks = workspace.model.quantizer.codebooks
    if codebooks == 0:
        raise Incompatible(f"the prior reads tokens, {job.method} has no codebook")
    fitted = prior.fit(
        np.asarray(workspace.tokens("train")),
        settings,
        codebook_size=job.codebook_size,
        seed=job.seed,
        device=workspace.device,
        checkpoint=workspace.checkpoint("prior"),
        checkpoint_s=workspace.order.checkpoint_s,
        progress=lambda done, total, values: workspace.progress("prior", done, total, values),
    )
    files = save_weights(workspace.folder / PRIOR, fitted.model)
    rows: Rows = {"metrics": [], "curves": []}
    for split in SPLITS:  # each split's own tokens; what was held out of train is on the curve
        tokens = np.asarray(workspace.tokens(split))
        nll = prior.nll(
            fitted.model, tokens, batch_size=settings.batch_size, device=workspace.device
        )
        counts = [metrics.counts(t, job.codebook_size) for t in by_codebook(tokens, codebooks)]
        unigram = float(np.mean([metrics.entropy(each) for each in counts]))
        values = {
            "nll": nll,
            "bits_per_token": nll / math.log(2),
            "unigram_entropy": unigram,
            "prior_gain": unigram - nll,
        }
        rows["metrics"] += metric_rows(values, split, len(tokens), workspace.prior_protocol())
    for step, values in fitted.curve:
        rows["curves"] += [{"step": step, "metric": m, "value": v} for m, v in values.items()]
    parameters = sum(p.numel() for p in fitted.model.parameters())
    steps = fitted.curve[-1][0] if fitted.curve else 0
    facts = {
        "steps": steps,
        "items_per_s": fitted.epochs_run * len(workspace.tokens("train")) / workspace.elapsed(),
        "parameters_prior": parameters,
    }
    return rows, facts, files


def sample_stage(workspace: Workspace) -> Result:
    """The prior -> tokens -> images, and how many of them differ."""
    from collapsebench import fidelity  # loads torchvision and scikit-learn, which take seconds

    job, settings = workspace.job, workspace.job.group("sample")
    height, width = workspace.tokens("train").shape[1:3]
    codebooks = workspace.model.quantizer.codebooks
    network = prior.PixelSNAIL(job.codebook_size, height, width, job.group("prior"), codebooks)
    network.load_state_dict(load_file(workspace.folder / PRIOR))
    tokens = prior.sample(
        network.to(workspace.device).eval(),
        settings.count,
        seed=settings.seed,
        temperature=settings.temperature,
        batch_size=settings.batch_size,
        device=workspace.device,
        progress=lambda done, total: workspace.progress("sample", done, total, {}),
    )
    images = encode.decode(workspace.model, tokens, device=workspace.device)
    small = tokens.astype(encode.smallest_unsigned(job.codebook_size))
    files = save_arrays(workspace.folder, {SAMPLE_TOKENS: small, SAMPLES: images})
    files += save_grid(
        workspace.folder / SAMPLE_GRID, images[:64].reshape(-1, 8, *images.shape[1:])
    )
    values = {
        "unique_token_grids": fidelity.unique_fraction(tokens),
        "unique_images": fidelity.unique_fraction(images),
    }
    rows = {"metrics": metric_rows(values, "train", len(tokens), workspace.prior_protocol())}
    return rows, {"items_per_s": len(tokens) / workspace.elapsed()}, files


def score_stage(workspace: Workspace) -> Result:
    """Reconstructions and samples -> distances from the training images, under a protocol."""
    from collapsebench import fidelity

    settings, order = workspace.job.group("score"), workspace.order
    reference, samples = (
        workspace.items.train,
        np.load(workspace.folder / SAMPLES, mmap_mode="r"),
    )
    facts: Facts = {}
    files: list[str] = []
    if bool((samples == samples[0]).all()):  # a result, and the distances of a point are not one
        facts["message"] = f"all {len(samples)} samples are the same image: only rfd is measured"
        print(facts["message"], flush=True)
    count = min(PROTOCOLS[settings.protocol].generated, len(reference))
    scored = fidelity.score(
        reference,
        encode.decode(workspace.model, workspace.tokens("train")[:count], device=workspace.device),
        None if facts else samples,
        settings,
        extractor=fidelity.load_extractor(
            settings.extractor,
            order.weights,
            allow_unverified=order.allow_unverified_weights,
        ),
        cache=workspace.results / "cache" / "references",
        reference_hash=workspace.items.content_hash,
        device=workspace.device,
        progress=lambda done, total: workspace.progress("score", done, total, {}),
    )
    if scored.neighbours is not None:
        shown = np.stack([samples[: len(scored.neighbours)], *reference[scored.neighbours.T]])
        files = save_grid(workspace.folder / NEIGHBOURS, shown)
    # Numbers of unlike priors or sample counts never share a cell: they are part of the protocol.
    protocol = scored.protocol | workspace.generation()
    name = fidelity.protocol_id(protocol)
    record = {
        "protocol": name,
        "name": settings.protocol,
        "rankable": protocol["rankable"],
        "extractor": protocol["extractor"],
        "extractor_sha256": protocol["extractor_sha256"],
        "verified": protocol["verified"],
        "details": json.dumps(protocol, sort_keys=True),
    }
    rows = {"metrics": metric_rows(scored.metrics, "train", count, name), "protocols": [record]}
    return rows, facts | {"items_per_s": len(reference) / workspace.elapsed()}, files


def curve_rows(curve: train.Curve) -> list[dict[str, Any]]:
    """Rows of ``curves``."""
    return [{"step": step, "metric": metric, "value": value} for step, metric, value in curve]


def metric_rows(
    values: dict[str, float], split: str, n_items: int, protocol: str = ""
) -> list[dict[str, Any]]:
    """Rows of ``metrics`` without a ceiling."""
    return [
        {"metric": m, "value": float(v), "split": split, "protocol": protocol, "n_items": n_items}
        for m, v in values.items()
    ]


def token_rows(
    tokens: list[np.ndarray], codebook_size: int, codebook: np.ndarray | None, split: str
) -> Rows:
    """Rows of ``metrics`` and ``codes`` from the tokens (N, h, w) of each codebook.

    ``codebook`` is (K, D), shared where there are several, or (Q, K, D); None if implicit.
    """
    own, codes = [], []
    for q, chosen in enumerate(tokens):
        vectors = codebook if codebook is None or codebook.ndim == 2 else codebook[q]
        measured = codebook_rows(chosen, codebook_size, vectors, split)
        own.append([row | {"codebook": q} for row in measured])
        counts = metrics.counts(chosen, codebook_size).tolist()
        codes.append({"split": split, "codebook": q, "counts": counts})
    return {"metrics": cell_rows(own), "codes": codes}


def codebook_rows(
    tokens: np.ndarray, codebook_size: int, codebook: np.ndarray | None, split: str
) -> list[dict[str, Any]]:
    """Rows of the metrics of one codebook from its tokens (N, h, w), each with its ceiling."""
    per_batch = metrics.BATCH_SIZE * math.prod(tokens.shape[1:])
    ceilings = metrics.ceilings(tokens.size, codebook_size, per_batch)
    values = metrics.codebook_metrics(tokens, codebook_size, codebook)
    rows = metric_rows(values, split, tokens.size)
    return [row | {"ceiling": ceilings.get(row["metric"])} for row in rows]


def cell_rows(own: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Each codebook's rows, metric by metric in one order -> the rows of the method.

    A metric has one row under its own name, that of its worst codebook, so that whoever averages
    over seeds averages what decides. Where there are several, each codebook's rows follow under
    names of their own.
    """
    rows = []
    for alike in zip(*own, strict=True):
        values = [row["value"] for row in alike]
        rows.append(alike[quantities.worst(alike[0]["metric"], values)])
    if len(own) > 1:
        rows += [
            row | {"metric": f"{quantities.EACH}{row['metric']}"} for each in own for row in each
        ]
    return rows


def by_codebook(tokens: np.ndarray, codebooks: int) -> list[np.ndarray]:
    """One array (N, h, w) per codebook; none for a method without."""
    if codebooks == 0:
        return []
    return [tokens] if codebooks == 1 else [tokens[..., q] for q in range(codebooks)]


def save_weights(path: Path, model: nn.Module) -> list[str]:
    """All parameters and buffers of a model, atomically; returns the file's name."""
    content = weights_as_bytes({k: v.contiguous() for k, v in model.state_dict().items()})
    disk.replace_atomically(path, lambda p: p.write_bytes(content), load_file)
    return [path.name]


def save_arrays(place: Path, arrays: dict[str, np.ndarray]) -> list[str]:
    """Each array under its file name, atomically; returns the names."""
    for name, array in arrays.items():

        def write(path: Path, array: np.ndarray = array) -> None:
            with path.open("wb") as file:
                np.save(file, array, allow_pickle=False)

        disk.replace_atomically(place / name, write, lambda p: np.load(p, mmap_mode="r"))
    return list(arrays)


def save_shown(path: Path, rows: np.ndarray) -> list[str]:
    """Originals and reconstructions (2, n, ...): as one PNG, or as an array that the page draws."""
    if path.suffix == ".png":
        return save_grid(path, rows)
    return save_arrays(path.parent, {path.name: rows})


def save_grid(path: Path, rows: np.ndarray) -> list[str]:
    """Images (rows, columns, H, W, 3) uint8 as one PNG with a gap of 2 pixels."""
    r, c, h, w, _ = rows.shape
    canvas = np.full((r * (h + 2) + 2, c * (w + 2) + 2, 3), 255, np.uint8)
    for i, j in np.ndindex(r, c):
        top, left = 2 + i * (h + 2), 2 + j * (w + 2)
        canvas[top : top + h, left : left + w] = rows[i, j]
    image = Image.fromarray(canvas)
    disk.replace_atomically(path, lambda p: image.save(p, format="PNG"), _verify_image)
    return [path.name]


def _verify_image(path: Path) -> None:
    with Image.open(path) as image:
        image.verify()
