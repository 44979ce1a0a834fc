"""Watches codebooks in anybody's training loop: counts where the tokens are, pooled over ranks.

Arrays need numpy alone; torch is used if tensors come in, and never loaded from here.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from collapsebench import metrics
from collapsebench.metrics import Counts
from collapsebench.monitor import hook, ranks, shapes
from collapsebench.monitor.arrays import snapshot
from collapsebench.monitor.bits import LARGEST_COUNTED, Bits
from collapsebench.monitor.inputs import Given, Inputs, pooled
from collapsebench.monitor.places import Places
from collapsebench.monitor.reading import Reading, read, read_bits
from collapsebench.monitor.tally import Tally
from collapsebench.quantities import RECORDS, worst

PREFIX = "codebook"  # of the names that a logger gets


class CodebookMonitor:
    """Counts tokens as training goes on; ``compute`` says what they say about the codebook.

    With several codebooks each has numbers of its own, and the worst one decides those of all. A
    window is what came since the last ``compute``. In a process group every rank must call
    ``compute``; the first one writes and logs, and from then on all hold the pooled counts.

    Attributes:
        sizes: K of each codebook.
        updates: how often ``update`` was called since the last reset.
        readings: one per codebook, of the last ``compute``; empty before.
    """

    def __init__(
        self,
        codebook_size: int | Sequence[int],
        codebooks: int | None = None,
        *,
        axis: int = -1,
        ignore: int | None = None,
        log: Callable[[dict[str, float]], Any] | None = None,
        out: Path | str | None = None,
    ):
        """Allocates the counts: 8 bytes a code, up to 2^24 codes; above, the bits of tokens.

        Args:
            codebook_size: K, or that of each codebook.
            codebooks: Q; else the number of sizes.
            axis: of several codebooks in tokens.
            ignore: a token that is padding.
            log: called at each ``compute`` with a flat dictionary, names begin ``codebook/``.
            out: a .parquet file for the history, which ``collapsebench inspect`` and ``diagnose``
                read.

        Raises:
            ValueError: sizes below 1, or another number of them than of codebooks.
            TypeError: a size that is no whole number.
            UserError: an ``out`` that is no history and would be written over.
        """
        given = [codebook_size] if np.ndim(codebook_size) == 0 else list(codebook_size)  # type: ignore[arg-type]
        sizes = [operator.index(size) for size in given]  # type: ignore[arg-type]
        if codebooks is not None and len(sizes) == 1:
            sizes *= codebooks
        if not sizes or min(sizes) < 1 or codebooks not in (None, len(sizes)):
            raise ValueError(f"{codebooks} codebooks cannot have the sizes {sizes}")
        self.sizes = tuple(sizes)
        self.axis, self.ignore, self.log = axis, ignore, log
        self.history = None if out is None else _history(Path(out))
        self.reset()

    def reset(self) -> None:
        """Forgets every token; the history in the file stays."""
        self.updates = 0
        self.readings: list[Reading] = []
        self._tally = Bits(self.sizes) if max(self.sizes) > LARGEST_COUNTED else Tally(self.sizes)
        self._total = [np.zeros(size, dtype=np.int64) for size in self._tally.sizes]
        self._inputs = [Inputs() for _ in self.sizes]
        self._places = [Places() for _ in self.sizes]
        self._best_variance = [math.nan for _ in self.sizes]
        self._codes: list[Any] = [None for _ in self.sizes]

    def update(self, tokens: Any, z_e: Any = None, codebook: Any = None, mask: Any = None) -> None:
        """Counts a batch where its tokens are, without waiting for the device.

        Args:
            tokens: integers of any shape; with Q codebooks an ``axis`` of that length, or a list of
                Q arrays of any shapes.
            z_e: what the tokens were chosen for, (..., D) or (B, D, ...); of several codebooks that
                of the first, or a list.
            codebook: the codes (K, D); (Q, K, D) or a list of several. Read at ``compute``.
            mask: true (or 1) where a position counts, in the shape of the tokens or of their
                positions.

        Raises:
            ValueError: tokens that are no integers, or shapes that do not fit. Tokens outside their
                codebook are found by ``compute``.
        """
        parts = shapes.token_parts(tokens, len(self.sizes), self.axis)
        keeps = shapes.kept(parts, mask, self.ignore, self.axis)
        codebooks = shapes.codebook_parts(codebook, self.sizes)
        flat = [part.reshape(-1) for part in parts]
        inputs = [
            None if one is None else shapes.as_vectors(one, len(tokens_of_one))
            for one, tokens_of_one in zip(shapes.each(z_e, len(self.sizes)), flat, strict=True)
        ]
        self._tally.add(flat, keeps)
        for q, (vectors, codes) in enumerate(zip(inputs, codebooks, strict=True)):
            if vectors is not None:
                self._inputs[q].add(vectors, keeps[q])
            if codes is not None:
                self._places[q].begin(codes, self._inputs[q].recent)
                self._codes[q] = codes
        self.updates += 1

    def compute(self) -> dict[str, float]:
        """Closes the window: every metric, since the last reset and in this window, by name.

        With several codebooks ``usage`` is that of the worst, ``0/usage`` of the first. Where
        nothing came since the last call, its answer again. Waits for the device, and for all ranks.

        Raises:
            ValueError: no token ever, or tokens outside their codebook.
        """
        bins = ranks.summed(self._tally.host())
        counts = self._tally.counts(bins)
        if self.readings and not bins[:-1].any():
            return self.values()
        self._total = [total + window for total, window in zip(self._total, counts, strict=True)]
        if not any(total.any() for total in self._total):
            raise ValueError("no tokens yet: call update before compute")
        inputs = ranks.gathered([one.host() for one in self._inputs])
        latest = ranks.gathered(self._tally.latest())
        self.readings = [
            self._read(
                q, window, pooled([rank[q] for rank in inputs]), [rank[q] for rank in latest]
            )
            for q, window in enumerate(counts)
        ]
        self._tally.empty()
        for one in self._inputs:
            one.empty()
        if ranks.first() and bins[:-1].any():
            self._write()
        return self.values()

    def values(self) -> dict[str, float]:
        """What the last ``compute`` returned."""
        flat = [reading.flat() for reading in self.readings]
        if len(flat) == 1:
            return flat[0]
        found = {f"{q}/{name}": v for q, one in enumerate(flat) for name, v in one.items()}
        for name in (record.name for record in RECORDS if record.better):
            for key in (name, f"window/{name}"):
                having = [one for one in flat if key in one]
                if having:
                    decides = having[worst(name, [one[key] for one in having])]
                    found |= {k: decides[k] for k in (key, f"{key}_ceiling") if k in decides}
        return found

    @property
    def verdict(self) -> str:
        """The worst verdict of any codebook since the last reset."""
        verdicts = {reading.verdict for reading in self.readings}
        order = ("collapsed", "too few tokens to tell", "healthy")
        return next((verdict for verdict in order if verdict in verdicts), order[1])

    def attach(self, module: Any) -> Any:
        """Updates after each forward pass of a quantizer in training mode.

        Tokens are the integers that it returns, ``z_e`` the first floats that it is given (if
        there is one vector a token), its codes are found by their usual names.
        ``attach(...).remove()`` ends it.

        Raises:
            ValueError: in a forward pass, where no integers are returned.
        """

        def after(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
            if module.training:
                tokens, z_e = hook.tokens_in(output), hook.z_e_in(inputs)
                count = shapes.token_parts(tokens, len(self.sizes), self.axis)[0].reshape(-1)
                given = z_e if shapes.has_vectors(z_e, len(count)) else None
                self.update(tokens, given, hook.codebook_of(module, self.sizes))

        return module.register_forward_hook(after)

    def merge(self, other: CodebookMonitor) -> None:
        """Adds what another monitor of the same codebooks counted, of another stream.

        Raises:
            ValueError: codebooks of other sizes.
        """
        if other.sizes != self.sizes:
            raise ValueError(f"codebooks of {other.sizes} codes do not merge with {self.sizes}")
        self._tally.merge(other._tally)
        self._total = [a + b for a, b in zip(self._total, other._total, strict=True)]
        for mine, theirs in zip(self._inputs, other._inputs, strict=True):
            mine.merge(theirs)
        self._codes = [
            a if b is None else b for a, b in zip(self._codes, other._codes, strict=True)
        ]
        self._best_variance = [
            float(np.fmax(a, b))
            for a, b in zip(self._best_variance, other._best_variance, strict=True)
        ]
        self.updates += other.updates

    def to(self, device: Any) -> CodebookMonitor:
        """Moves what is counted to a torch device; an ``update`` elsewhere moves it again."""
        self._tally.to(device)
        return self

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that was counted: plain values, and arrays or (where tokens are) tensors.

        In a process group take it after ``compute``: from then on every rank holds all counts, and
        what came since is of its own rank.
        """
        inputs = [{"moments": one.moments, "recent": one.recent} for one in self._inputs]
        places = [{"start": p.start, "inputs": p.inputs, "last": p.last} for p in self._places]
        state = {
            "sizes": list(self.sizes), "updates": self.updates, "tally": self._tally.state(),
            "total": self._total, "inputs": inputs, "places": places,
            "best_variance": self._best_variance,
        }  # fmt: skip
        copy: dict[str, Any] = snapshot(self._tally.bins, state)
        return copy

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where ``state_dict`` was taken; windows of the file beyond it are dropped.

        Raises:
            ValueError: a state of codebooks of other sizes.
        """
        if tuple(state["sizes"]) != self.sizes:
            raise ValueError(f"a state of {state['sizes']} codes does not fit {list(self.sizes)}")
        self.reset()
        self.updates = state["updates"]
        tally = state["tally"]
        self._tally.load(snapshot(tally["bins"], tally))
        self._total = [np.array(metrics.to_array(one)) for one in state["total"]]
        self._inputs = [Inputs(**one) for one in state["inputs"]]
        self._places = [Places(**one) for one in state["places"]]
        self._best_variance = list(state["best_variance"])
        if self.history is not None:
            self.history.resume(self.updates)

    def _read(self, q: int, window: Counts, given: Given, latest: list[Any]) -> Reading:
        """The reading of a codebook from its window and its inputs and latest tokens in it."""
        vectors: dict[str, Any] = {"updates": self.updates}
        if given.moments is not None:
            best = float(np.fmax(self._best_variance[q], given.moments.variance))
            self._best_variance[q] = best
            vectors |= given.moments.evidence() | {"z_e_variance_best": best}
        if latest[0] is not None:
            tokens = np.concatenate(latest)
            return read_bits(self.sizes[q], self._total[q], window, tokens, vectors)
        codes = None if self._codes[q] is None else metrics.to_array(self._codes[q])
        if codes is not None:
            vectors |= self._places[q].evidence(codes, window, self._total[q], given.recent)
        return read(self._total[q], window, codes, vectors)

    def _write(self) -> None:
        """To the history and to the logger."""
        if self.history is not None:
            self.history.add([one.row(q) for q, one in enumerate(self.readings)])
        if self.log is not None:
            values = self.values() | {"updates": float(self.updates)}
            self.log({f"{PREFIX}/{name}": value for name, value in values.items()})


def _history(out: Path) -> Any:
    from collapsebench.monitor.history import History  # pyarrow and pandas: only where asked for

    return History(out)
