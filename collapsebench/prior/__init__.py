"""The second-stage network over token grids: PixelSNAIL, its training and its exact sampling."""

from collapsebench.prior.fit import Fitted, fit, nll
from collapsebench.prior.network import PixelSNAIL
from collapsebench.prior.sampling import sample, sample_naive, teacher_forced

__all__ = ["Fitted", "PixelSNAIL", "fit", "nll", "sample", "sample_naive", "teacher_forced"]
