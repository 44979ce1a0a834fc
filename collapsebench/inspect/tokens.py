"""Token files of any tokenizer: what their axes mean, and which values are tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapsebench.datasets._arrays import Opened, Pieces, in_memory, open_array, whole
from collapsebench.settings import UserError

NAME = "tokens"  # of the array or column that is read where a file holds several
LARGEST_CODEBOOK = 2**24  # a larger token is taken for a mistake, not for a token
PADDING = -1  # what stands for a value that is no token, in memory
INTEGERS, NUMBERS = "iu", "iuf"  # kinds of numpy's types; durations are integers to issubdtype
MOST_CODEBOOKS = 32  # of a tokenizer; an axis up to this long is asked about
MOST_IN_ROWS = 8  # the same where tokens have two axes: ids of items have few, sequences are longer


@dataclass(frozen=True)
class TokenFile:
    """An opened token file.

    Attributes:
        path: where it lies.
        rows: N, the number of images, clips or users; of single tokens if the file is flat.
        positions: () flat, (length,) sequences, (h, w) maps, or more axes.
        codebooks: Q, tokens per position; the last axis in ``pieces`` if above 1.
        pieces: n -> the tokens in order of row, position, codebook, as flat integer arrays of
            n tokens and a shorter last one. Memory-mapped or streamed.
        ignore: the value that is padding, no token; None if all are tokens.
        question: the options of which one says whether an axis is that of codebooks, if it looks
            like one and none was given; else "".
    """

    path: Path
    rows: int
    positions: tuple[int, ...]
    codebooks: int
    pieces: Pieces
    ignore: int | None = None
    question: str = ""

    @property
    def positions_per_row(self) -> int:
        """h * w, or the length of a sequence; 1 for a flat file."""
        return math.prod(self.positions)

    @property
    def row_tokens(self) -> int:
        """Tokens in one row: positions times codebooks."""
        return self.positions_per_row * self.codebooks

    @property
    def size(self) -> int:
        """All tokens of the file, padding included."""
        return self.rows * self.row_tokens


def open_tokens(
    path: Path, codebooks: int | None = None, axis: int | None = None, ignore: int | None = None
) -> TokenFile:
    """Opens a file of integer tokens, shape (N,), (N, length), (N, h, w) or with an axis Q.

    An .npz or .safetensors file, a .parquet table or folder and a .pt dictionary hold one array, or
    one named ``tokens``. A parquet column has integers or lists of equal length. Values are checked
    when they are read, by ``checked``.

    Args:
        path: the file.
        codebooks: Q of residual tokens; None takes the length of ``axis``, else 1.
        axis: of the codebooks; None takes the last one, or the only one of length Q. If it is not
            the last, all tokens are held in memory.
        ignore: a value that is padding, no token.

    Raises:
        UserError: no such file, an unknown or damaged format, floats, no tokens, or no axis Q.
    """
    opened = open_array(path, NAME)
    if opened.dtype.kind not in INTEGERS:
        raise UserError(f"{path}: tokens must be integers, not {opened.dtype}")
    if 0 in opened.shape or not opened.shape:
        raise UserError(f"{path}: no tokens (shape {opened.shape})")
    if axis is None and codebooks in (None, 1):
        question = _question(opened.shape) if codebooks is None else ""
        rows, *positions = opened.shape
        return TokenFile(path, rows, tuple(positions), 1, opened.pieces, ignore, question)
    rows, *positions, count = (moved := _codebooks_last(path, opened, codebooks, axis)).shape
    return TokenFile(path, rows, tuple(positions), count, moved.pieces, ignore)


def checked(
    path: Path, tokens: NDArray[Any], codebook_size: int, ignore: int | None = None
) -> NDArray[np.int64]:
    """The tokens as int64 with ``PADDING`` for ``ignore``, if all others are in [0, K).

    Raises:
        UserError: a negative token, or one that is K or more.
    """
    padding = None if ignore is None else tokens == ignore
    kept = tokens if padding is None else tokens[~padding]
    if len(kept) and (least := int(kept.min())) < 0:
        raise UserError(f"{path}: token {least} is negative; if it is padding, --ignore {least}")
    if len(kept) and (most := int(kept.max())) >= codebook_size:
        raise UserError(
            f"{path}: token {most} is outside a codebook of {codebook_size} codes (0 to "
            f"{codebook_size - 1})"
        )
    tokens = tokens.astype(np.int64, copy=False)
    return tokens if padding is None else np.where(padding, PADDING, tokens)


def largest_token(file: TokenFile, piece: int) -> int:
    """The largest token, by one pass over the file in pieces of ``piece`` tokens.

    Raises:
        UserError: a negative token, one above ``LARGEST_CODEBOOK``, or nothing but padding.
    """
    pieces = (checked(file.path, p, LARGEST_CODEBOOK, file.ignore) for p in file.pieces(piece))
    if (largest := max(int(piece.max()) for piece in pieces)) == PADDING:
        raise UserError(f"{file.path}: no tokens, all are {file.ignore}")
    return largest


def open_codebook(path: Path, codebooks: int = 1) -> NDArray[Any]:
    """A codebook file in one of the formats of tokens, (K, D) or (Q, K, D) -> (Q, K, D).

    Raises:
        UserError: a file that cannot be read, another shape, no numbers, or no finite code.
    """
    opened = open_array(path, "codebook")
    full = opened.shape if len(opened.shape) == 3 else (1, *opened.shape)
    if len(full) != 3 or full[0] != codebooks or 0 in full:
        wanted = "(K, D)" if codebooks == 1 else f"({codebooks}, K, D)"
        raise UserError(f"{path}: a codebook has the shape {wanted}, not {opened.shape}")
    if opened.dtype.kind not in NUMBERS:
        raise UserError(f"{path}: a codebook holds numbers, not {opened.dtype}")
    values = whole(opened).reshape(full)
    if not np.isfinite(values).all(axis=2).any(axis=1).all():
        raise UserError(f"{path}: a codebook without any code of finite numbers")
    return values


def _codebooks_last(path: Path, opened: Opened, codebooks: int | None, axis: int | None) -> Opened:
    """The array with the axis of the codebooks at the end."""
    shape = opened.shape
    if axis is None:
        fitting = [i for i, length in enumerate(shape) if length == codebooks]
        axis = fitting[0] if len(fitting) == 1 else len(shape) - 1
    if len(shape) == 1 or not -len(shape) <= axis < len(shape):
        raise UserError(f"{path}: shape {shape} has no axis {axis} of codebooks beside the rows")
    if codebooks not in (None, shape[axis]):
        where = "end in" if axis in (-1, len(shape) - 1) else f"have, along axis {axis},"
        raise UserError(f"{path}: shape {shape} does not {where} {codebooks} codebooks")
    if axis in (-1, len(shape) - 1):
        return opened
    return in_memory(np.moveaxis(whole(opened), axis, -1))


def _question(shape: tuple[int, ...]) -> str:
    """The options of a ``TokenFile.question``: of short axes, but for maps of equal sides."""
    inner = shape[1:]
    if len(inner) == 0 or (len(inner) > 1 and len(set(inner)) == 1):
        return ""
    most = MOST_IN_ROWS if len(inner) == 1 else MOST_CODEBOOKS
    last = len(shape) - 1
    axes = [axis for axis in dict.fromkeys((last, 1, 0)) if 2 <= shape[axis] <= most]
    ways = [f"--codebooks {shape[axis]}" + f" --axis {axis}" * (axis < last) for axis in axes]
    return " or ".join([*ways, "--codebooks 1"]) if ways else ""
