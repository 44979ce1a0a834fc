"""A method that keeps its codebook out of the optimizer's groups."""

from collapsebench.methods.vq_vae import VQVAE

CHECK = "codebook_learns"


class OutOfTheOptimizer(VQVAE):
    label = "out of the optimizer"

    def parameter_groups(self, lr):
        return []
