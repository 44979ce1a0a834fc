"""Everything that is held against the official code, by name."""

from collections.abc import Callable, Iterator

from . import models, quantizers, residual_and_matching
from .recorded import Compared

CASES: dict[str, Callable[[], Iterator[Compared]]] = {
    function.__name__: function
    for function in (
        quantizers.edvae,
        quantizers.dvae,
        quantizers.gs_vq_vae,
        quantizers.sq_vae,
        quantizers.vq_vae,
        quantizers.vq_vae_ema,
        quantizers.vq_vae_ema_rosinality,
        quantizers.vq_ste_pp,
        quantizers.vq_ste_pp_alternation,
        quantizers.vq_ste_pp_replacement,
        residual_and_matching.rq_vae,
        residual_and_matching.rq_vae_shared,
        residual_and_matching.wasserstein_vq,
        models.dalle_networks,
        models.vqvae_networks,
        models.sq_vae_model,
        models.edvae_three_steps,
        models.all_schedules,
    )
}
