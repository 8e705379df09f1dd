"""The 13 tables of denoising-diffusion-pytorch's GaussianDiffusion, which its checkpoints hold
beside the network.

Ho et al., arXiv:2006.11239; cosine: arXiv:2102.09672; sigmoid: arXiv:2212.11972; min-SNR:
arXiv:2303.09556. In double, rounded to float32 at the end, as there (the same numbers as `lockstep
export schedule`).
"""

import math

BUFFERS = (
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
    "loss_weight",
)
SCHEDULES = ("linear", "cosine", "sigmoid")
OBJECTIVES = ("pred_noise", "pred_x0", "pred_v")


def betas_of(torch, kind, timesteps, linear_start=None, linear_end=None):
    """float64 [timesteps]."""
    if kind == "linear":
        first = 0.1 / timesteps if linear_start is None else linear_start
        last = 20 / timesteps if linear_end is None else linear_end
        return torch.linspace(first, last, timesteps, dtype=torch.float64)
    share = torch.linspace(0, timesteps, timesteps + 1, dtype=torch.float64) / timesteps
    if kind == "cosine":
        curve = torch.cos((share + 0.008) / 1.008 * math.pi * 0.5) ** 2
    else:
        # The ends of the curve are float32 there, what lies between them float64: near the end that
        # decides.
        low, high = torch.tensor(-3.0).sigmoid(), torch.tensor(3.0).sigmoid()
        curve = (-(share * 6 - 3).sigmoid() + high) / (high - low)
    signal = curve / curve[0]
    return torch.clip(1 - signal[1:] / signal[:-1], 0, 0.999)


def tables(torch, betas, objective, min_snr_gamma=None):
    """name → float32 [timesteps], in upstream's order; min_snr_gamma None: no limit."""
    alphas = 1 - betas
    share = torch.cumprod(alphas, dim=0)
    before = torch.nn.functional.pad(share[:-1], (1, 0), value=1.0)
    variance = betas * (1 - before) / (1 - share)
    snr = share / (1 - share)
    limited = snr if min_snr_gamma is None else snr.clamp(max=min_snr_gamma)
    weights = {"pred_noise": limited / snr, "pred_x0": limited, "pred_v": limited / (snr + 1)}
    values = (
        betas,
        share,
        before,
        torch.sqrt(share),
        torch.sqrt(1 - share),
        torch.log(1 - share),
        torch.sqrt(1 / share),
        torch.sqrt(1 / share - 1),
        variance,
        torch.log(variance.clamp(min=1e-20)),
        betas * torch.sqrt(before) / (1 - share),
        (1 - before) * torch.sqrt(alphas) / (1 - share),
        weights[objective],
    )
    return {name: value.to(torch.float32) for name, value in zip(BUFFERS, values)}


def recognise(torch, betas, loss_weight):
    """(beta_schedule, objective, min_snr_gamma) whose tables these are (float32); None for what is
    not recognised."""
    count, wide = len(betas), betas.double()
    same = lambda a, b: torch.allclose(a.float(), b.float(), rtol=2e-5, atol=1e-9)  # noqa: E731
    schedule = next((kind for kind in SCHEDULES if same(betas_of(torch, kind, count), betas)), None)
    exact = betas_of(torch, schedule, count) if schedule else wide
    for gamma in (None, 5.0):
        for objective in OBJECTIVES:
            if same(tables(torch, exact, objective, gamma)["loss_weight"], loss_weight):
                return schedule, objective, gamma
    return schedule, None, None
