"""Made-up results: rows, job files and a grid's file, as a run leaves them."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from collapsebench import metrics
from collapsebench.plan import registry
from collapsebench.plan.grid import load
from collapsebench.results import disk
from collapsebench.results import tables as store

METHODS = tuple(load("collapse").axes["method"])  # all that are shipped
PAPER, MODERN, FLOORS = METHODS[:6], METHODS[6:21], METHODS[21:]
OTHERS = {"my_vq": ("My VQ", "vqvae")}  # a user's: label and network
LEVEL = {  # share of the codebook's perplexity that a method reaches here
    "vq_vae_ema": 0.62, "gs_vq_vae": 0.41, "sq_vae": 0.79, "vq_ste_pp": 0.74, "dvae": 0.3,
    "edvae": 0.82, "vq_vae": 0.06, "vq_reset": 0.77, "cosine_vq": 0.36, "cvq_vae": 0.84,
    "rotation_vq": 0.52, "sim_vq": 0.87, "fsq": 0.71, "lfq": 0.48, "bsq": 0.66, "ibq": 0.83,
    "rq_vae": 0.57, "entropy_vq": 0.22, "wasserstein_vq": 0.89, "nsvq": 0.68, "diveq": 0.73,
    "random_codes": 0.9, "kmeans": 0.8, "my_vq": 0.86,
}  # fmt: skip
TIED = {  # code dimension that belongs to a codebook size
    "fsq": lambda size: round(np.log2(size) / 2),
    "lfq": lambda size: round(np.log2(size)),
    "bsq": lambda size: round(np.log2(size)),
}
STAGES = ("train", "encode", "prior", "sample", "score")
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
KEY = ("job_id", "config_id", "comparison_id", "method", "network", "dataset", "codebook_size",
       "code_dim", "seed", "scale")  # fmt: skip


def named(method):
    """Label and network of a method."""
    if method not in METHODS:
        return OTHERS.get(method, (method, "vqvae"))
    shipped = registry.method_class(method)
    return shipped.label, shipped.network


def digest(*parts):
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def at_once(path, write, check):
    """Writes a file that nobody reads meanwhile and that no loss of power takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)


@dataclass
class MadeUp:
    """What to make up; every field has a default that gives a small, complete grid.

    `values` fixes numbers: (method, dataset, metric, split) -> one value per seed.
    `ends` gives jobs another end: (method, dataset, seed), or the codebook size in place of the
    seed, -> (stage, status, message); a status of None leaves the job without rows from that stage
    on.
    """

    results: Path
    name: str = "demo"
    methods: tuple = PAPER
    datasets: tuple = ("digits",)
    sizes: tuple = ((64, 8),)
    seeds: tuple = (42, 1773, 1)
    networks: tuple = ()
    settings: dict = field(default_factory=dict)  # method -> list of its settings
    reproduces: tuple = ("table1", "table2", "table3", "table4", "fig2", "fig3", "fig4", "fig7")
    scale: str = "demo"
    scale_note: str = "Demo scale: orderings are not known to predict the paper's."
    stages: tuple = STAGES
    train: dict = field(default_factory=lambda: {"steps": 600, "horizon": 600, "ramp": 150000})
    protocol: str = "tiny"
    files: bool = True
    points: int = 20
    values: dict = field(default_factory=dict)
    ends: dict = field(default_factory=dict)
    devices: dict = field(default_factory=dict)  # seed -> device name

    def write(self):
        """Writes everything and returns the results folder."""
        with (
            mock.patch.object(store, "replace_atomically", at_once),
            mock.patch.object(disk, "replace_atomically", at_once),
        ):
            self.write_all()
        return self.results

    def write_all(self):
        jobs = list(self.jobs())
        for job in jobs:
            self.write_job(job)
        grid = {
            "schema_version": 1, "name": self.name, "title": "Made-up numbers",
            "reproduces": list(self.reproduces), "scale": self.scale,
            "scale_note": self.scale_note, "stages": list(self.stages),
            "command": f"collapsebench run --grid {self.name}", "jobs": jobs,
        }  # fmt: skip
        disk.write_json(self.results / "grids" / f"{self.name}.json", grid)

    def jobs(self):
        for dataset in self.datasets:
            for size, dim in self.sizes:
                for method in self.methods:
                    label, own = named(method)
                    for network in self.networks or (own,):
                        for chosen in self.settings.get(method, [{}]):
                            for seed in self.seeds:
                                yield self.job(
                                    method, label, network, dataset, size, dim, chosen, seed
                                )

    def job(self, method, label, network, dataset, size, dim, chosen, seed):
        comparison = [dataset, size, dim, self.train]
        dim = TIED[method](size) if method in TIED else dim
        config = [*comparison, method, network, chosen]
        job_id = digest(*config, seed)
        groups = {"paper": PAPER, "modern": MODERN, "floor": FLOORS}
        kind = next((kind for kind, methods in groups.items() if method in methods), "user")
        return {
            "job_id": job_id, "config_id": digest(*config), "comparison_id": digest(*comparison),
            "stage_ids": {s: self.stage_id(job_id, s) for s in self.stages},
            "method": method, "label": label, "kind": kind, "network": network, "dataset": dataset,
            "codebook_size": size, "code_dim": dim, "seed": seed, "scale": self.scale,
            "settings_label": " ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}"
                                       for k, v in chosen.items()),
            "settings": {"method": chosen, "train": self.train, "data": {}, "network": {}},
        }  # fmt: skip

    def stage_id(self, job_id, stage):
        return digest(job_id, stage, self.protocol if stage == "score" else "")

    def write_job(self, job):
        keys = [(job["method"], job["dataset"], job[of]) for of in ("seed", "codebook_size")]
        end = next((self.ends[key] for key in keys if key in self.ends), None)
        for i, stage in enumerate(self.stages):
            if end and end[0] == stage:
                if end[1] is not None:
                    self.write_run(job, stage, i, end[1], end[2])
                    self.write_log(job, end)
                return
            self.write_run(job, stage, i, "done", "")
            getattr(self, f"write_{stage}", lambda job: None)(job)

    def key(self, job, stage):
        label = f"{job['label']} {job['settings_label']}".strip()
        return {k: job[k] for k in KEY} | {
            "label": label,
            "stage": stage,
            "stage_id": job["stage_ids"][stage],
        }

    def store(self, job, stage, table, rows, suffix=""):
        key = self.key(job, stage)
        name = f"{job['job_id']}.{stage}.{key['stage_id']}{suffix}"
        store.write(self.results, table, name, [key | row for row in rows])

    def write_run(self, job, stage, i, status, message):
        seconds = 40.0 * (i + 1)
        row = {
            "run_id": digest(job["job_id"], stage), "attempt": 1, "status": status,
            "message": message, "started_at": START + timedelta(minutes=i),
            "finished_at": START + timedelta(minutes=i, seconds=seconds), "wall_s": seconds,
            "steps": self.train["steps"], "items_per_s": 5_000.0 / (i + 1),
            "peak_memory_bytes": 900_000_000, "parameters_encoder": 210_000,
            "parameters_decoder": 190_000, "parameters_quantizer": 4_096, "precision": "fp32",
            "variant": "plain", "device": "cpu", "threads": 2,
            "device_name": self.devices.get(job["seed"], "a processor"), "launcher": "local",
            "package_version": "0.1.0",
            "versions": json.dumps({"python": "3.11.7", "torch": "2.11.0"}),
            "git_sha": "0123456789abcdef", "git_dirty": False, "data_hash": digest(job["dataset"]),
            "split_hash": digest("split"), "settings": json.dumps(job["settings"]),
        }  # fmt: skip
        suffix = status if status in store.FINAL else f"{status}-0"
        self.store(job, stage, "runs", [row], f".{suffix}")

    def rng(self, job, *words):
        return np.random.default_rng(int(digest(job["job_id"], *words), 16) % 2**32)

    def write_train(self, job):
        rows, rng = [], self.rng(job, "curve")
        size, level = job["codebook_size"], self.level(job)
        steps = np.linspace(
            self.train["steps"] / self.points, self.train["steps"], self.points
        ).astype(int)
        for step in steps:
            t = step / self.train["steps"]
            perplexity = size * level * (1 - np.exp(-4 * t)) + 1
            values = {
                "loss": 0.09 * np.exp(-3 * t) + 0.004 + 0.0006 * rng.standard_normal() * (1 - t),
                "mse": 0.08 * np.exp(-3 * t) + 0.003, "lr": 1e-3 * (1 - t) + 1e-6,
                "perplexity": perplexity, "usage": min(1.0, 1.15 * perplexity / size),
                "dead_codes": max(0.0, size - 1.15 * perplexity),
            }  # fmt: skip
            if job["method"] in ("dvae", "edvae", "gs_vq_vae", "sq_vae"):
                values |= {
                    "entropy_mean": np.log(size) * (0.2 + level * (1 - 0.5 * t)),
                    "entropy_sd": 0.3 * level,
                }
            if job["method"] == "edvae":
                values |= {
                    "uncertainty": 0.2 + 0.5 * (1 - np.exp(-3 * t)) + 0.01 * rng.standard_normal()
                }
            rows += [{"step": int(step), "metric": k, "value": float(v)} for k, v in values.items()]
        self.store(job, "train", "curves", rows)
        if self.files and job["method"] in ("dvae", "edvae", "gs_vq_vae", "sq_vae"):
            maps = rng.random((self.points, 8, 8)) * np.log(size) * level
            np.save(self.folder(job) / "entropy_maps.npy", maps.astype(np.float32))

    def level(self, job):
        drop = 1 - 0.08 * np.log2(job["codebook_size"] / 64)
        base = LEVEL.get(job["method"], 0.5) * drop
        return float(np.clip(base + 0.01 * self.rng(job, "level").standard_normal(), 0.02, 0.98))

    def write_encode(self, job):
        size, rows, codes = job["codebook_size"], [], []
        for split, n in (("train", 1000), ("val", 200), ("test", 500)):
            weights = np.arange(1, size + 1.0) ** (-2.5 * (1 - self.level(job)))
            counts = self.rng(job, split).multinomial(n * 64, weights / weights.sum())
            perplexity = metrics.perplexity(counts)
            mse = 4e-3 * (1.5 - self.level(job)) * (64 / size) ** 0.2
            values = {
                "mse": mse * (1 + 0.01 * self.rng(job, split, "mse").standard_normal()),
                "psnr": metrics.psnr(mse), "perplexity": perplexity,
                "perplexity_batch_mean": 0.96 * perplexity,
                "relative_perplexity": perplexity / size,
                "usage": metrics.usage(counts), "dead_codes": metrics.dead_codes(counts),
                "collapsed": float(metrics.collapsed(counts)),
                "effective_rank": job["code_dim"] * 0.9,
                "duplicate_codes": 0.0, "unigram_entropy": metrics.entropy(counts),
            }  # fmt: skip
            if job["method"] in ("dvae", "edvae"):
                values |= {"entropy_mean": 2.1, "entropy_sd": 0.4, "mutual_information": 1.7}
            if job["method"] == "continuous":
                values = {"mse": values["mse"], "psnr": values["psnr"]}
            for name, value in values.items():
                rows.append(
                    {"metric": name, "value": self.fixed(job, name, split, value), "split": split,
                     "protocol": "", "n_items": n,
                     "ceiling": 0.99 * size if name.startswith("perplexity") else None}
                )  # fmt: skip
            if job["method"] != "continuous":
                codes.append({"split": split, "codebook": 0, "counts": counts.tolist()})
        self.store(job, "encode", "metrics", rows)
        self.store(job, "encode", "codes", codes)
        if self.files:
            self.write_images(job, "reconstructions.png", 2)

    def fixed(self, job, name, split, value):
        found = self.values.get((job["method"], job["dataset"], name, split))
        return float(value if found is None else found[self.seeds.index(job["seed"])])

    def write_prior(self, job):
        nll = 0.7 * np.log(job["codebook_size"]) * self.level(job)
        rows = []
        for split in ("train", "val", "test"):
            values = {
                "nll": nll,
                "bits_per_token": nll / np.log(2),
                "unigram_entropy": nll * 1.3,
                "prior_gain": nll * 0.3,
            }
            rows += [
                {"metric": k, "value": float(v), "split": split, "protocol": ""}
                for k, v in values.items()
            ]
        self.store(job, "prior", "metrics", rows)

    def write_sample(self, job):
        values = {"unique_token_grids": 0.99, "unique_images": 0.99}
        self.store(
            job,
            "sample",
            "metrics",
            [{"metric": k, "value": v, "split": "", "protocol": ""} for k, v in values.items()],
        )
        if self.files:
            self.write_images(job, "samples.png", 8)

    def write_score(self, job):
        full = self.protocol == "full"
        protocol = {
            "protocol": digest(self.protocol), "name": self.protocol,
            "rankable": self.protocol != "tiny", "verified": full,
            "extractor": "inception-v3-compat" if full else "cb-randconv-v1",
            "extractor_sha256": "ab" * 32,
            "details": json.dumps({"k": 5, "n_generated": 256, "n_reference": 1000}),
        }  # fmt: skip
        rfd = 3 + 4 * (1 - self.level(job)) + 0.1 * self.rng(job, "rfd").random()
        values = {"rfd": rfd, "gfd": rfd + 5, "fd_gap": 5.0, "precision": 0.5,
                  "recall": 0.3 + 0.2 * self.level(job), "density": 0.8,
                  "coverage": 0.7}  # fmt: skip
        rows = [
            {
                "metric": k,
                "value": self.fixed(job, k, "train", v),
                "split": "train",
                "protocol": digest(self.protocol),
            }
            for k, v in values.items()
        ]
        self.store(job, "score", "protocols", [protocol])
        self.store(job, "score", "metrics", rows)

    def folder(self, job):
        folder = self.results / "jobs" / job["job_id"]
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def write_log(self, job, end):
        lines = [f"step {i} loss 0.{i:03d}" for i in range(40)]
        (self.folder(job) / "log.txt").write_text("\n".join([*lines, f"{end[1]}: {end[2]}"]) + "\n")

    def write_images(self, job, name, rows):
        y, x = np.mgrid[0:16, 0:16] / 15
        canvas = np.full((rows * 18 + 2, 8 * 18 + 2, 3), 255, np.uint8)
        rng = self.rng(job, name)
        for i, j in np.ndindex(rows, 8):
            image = (
                np.stack([np.sin(3 * x + j), np.cos(3 * y + j), np.sin(4 * x * y + j)], -1) * 0.5
                + 0.5
            )
            image += rng.normal(0, 0.15 * (i > 0 or rows > 2), image.shape)
            canvas[2 + i * 18 : 18 + i * 18, 2 + j * 18 : 18 + j * 18] = np.clip(
                image * 255, 0, 255
            )
        Image.fromarray(canvas).save(self.folder(job) / name)
