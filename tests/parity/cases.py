"""Everything that is held against the official code, by name."""

from collections.abc import Callable, Iterator

from . import entropy_and_lattices, models, nearest_code, quantizers, residual_and_matching
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
        nearest_code.vq_reset,
        nearest_code.vq_reset_encodec,
        nearest_code.cvq_vae,
        nearest_code.cvq_vae_before_adam,
        nearest_code.rotation_vq,
        nearest_code.sim_vq,
        nearest_code.nsvq,
        nearest_code.diveq,
        entropy_and_lattices.cosine_vq,
        entropy_and_lattices.fsq,
        entropy_and_lattices.lfq,
        entropy_and_lattices.bsq,
        entropy_and_lattices.ibq,
        entropy_and_lattices.entropy_vq,
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
