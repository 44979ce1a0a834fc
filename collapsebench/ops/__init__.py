"""Pure tensor functions that several methods share, and the one place where noise is drawn.

Methods work channel-last: ``channels_last`` turns (B, C, H, W) into a (B, H, W, C) view, free of
copies when the networks run in torch's channels_last memory format.
"""

from collapsebench.ops.codes import (
    batch_vectors,
    channels_first,
    channels_last,
    counts_and_sums,
    digits_of,
    kmeans,
    lloyd,
    lookup,
    nearest,
    random_codebook,
    smoothed_counts,
    squared_distances,
    straight_through,
    tokens_of,
)
from collapsebench.ops.divergences import (
    DENSE,
    bit_entropies,
    categorical_kl,
    code_probabilities,
    dirichlet_kl,
    entropies,
    negative_entropy,
    relaxed_one_hot,
    stable_dirichlet_kl,
)
from collapsebench.ops.noise import (
    exponential_like,
    gumbel_like,
    integers,
    multinomial,
    normal_like,
    permutation,
    replayed_noise,
    uniform_like,
)

__all__ = [
    "DENSE",
    "batch_vectors",
    "bit_entropies",
    "categorical_kl",
    "channels_first",
    "channels_last",
    "code_probabilities",
    "counts_and_sums",
    "digits_of",
    "dirichlet_kl",
    "entropies",
    "exponential_like",
    "gumbel_like",
    "integers",
    "kmeans",
    "lloyd",
    "lookup",
    "multinomial",
    "nearest",
    "negative_entropy",
    "normal_like",
    "permutation",
    "random_codebook",
    "relaxed_one_hot",
    "replayed_noise",
    "smoothed_counts",
    "squared_distances",
    "stable_dirichlet_kl",
    "straight_through",
    "tokens_of",
    "uniform_like",
]
