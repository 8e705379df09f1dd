"""Draws pictures from a network of Lockstep with a scheduler of diffusers.

Written by `lockstep export --format diffusers`:
    pipeline = DiffusionPipeline.from_pretrained(FOLDER, trust_remote_code=True)
    pipeline(batch_size=4).images[0].save("picture.png")
"""

import inspect

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from diffusers.utils.torch_utils import randn_tensor


def flat(x):
    return x.flatten(1)[:, :, None, None]


class LockstepPipeline(DiffusionPipeline):
    """The settings are those of the exported run; a call can change them.

    guidance: with classes, with + (scale - 1) * (with - without), arXiv:2207.12598; its part along
    `with` is kept at keep_parallel (arXiv:2410.02416), and `rescale` of the result is brought back
    to the spread of `with` (arXiv:2305.08891). rederive_noise: DDIM takes the noise from the
    clipped picture, as denoising-diffusion-pytorch does.
    """

    model_cpu_offload_seq = "unet"

    def __init__(
        self,
        unet,
        scheduler,
        num_inference_steps=50,
        eta=0.0,
        rederive_noise=False,
        guidance_scale=1.0,
        guidance_rescale=0.0,
        remove_parallel=False,
        keep_parallel=0.0,
    ):
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        self.register_to_config(
            num_inference_steps=num_inference_steps,
            eta=eta,
            rederive_noise=rederive_noise,
            guidance_scale=guidance_scale,
            guidance_rescale=guidance_rescale,
            remove_parallel=remove_parallel,
            keep_parallel=keep_parallel,
        )

    def predict(self, x, t, labels, scale, estimate):
        with_class = self.unet(x, t, class_labels=labels, x_self_cond=estimate).sample
        if labels is None or scale == 1:
            return with_class
        change = (
            with_class
            - self.unet(x, t, class_labels=torch.full_like(labels, -1), x_self_cond=estimate).sample
        )
        if self.config.remove_parallel:
            unit = flat(with_class).double()
            unit = unit / unit.norm(dim=1, keepdim=True).clamp(min=1e-12)
            parallel = (
                (flat(change).double() * unit).sum(1, keepdim=True)
                * unit
                * (1 - self.config.keep_parallel)
            )
            change = (flat(change).double() - parallel).to(x.dtype).reshape(change.shape)
        guided = with_class + change * (scale - 1)
        share = self.config.guidance_rescale
        if share == 0:
            return guided
        spread = flat(with_class).std(1, keepdim=True) / flat(guided).std(1, keepdim=True)
        return guided * spread * share + guided * (1 - share)

    def step(self, output, t, x, k, eta, generator, step_noise):
        """The scheduler's step: the next state, and its estimate of the picture."""
        known = inspect.signature(self.scheduler.step).parameters
        more = {
            "eta": eta,
            "use_clipped_model_output": self.config.rederive_noise,
            "generator": generator,
        }
        if step_noise is not None:
            more |= {"variance_noise": step_noise[k], "generator": None}
        learns = getattr(self.scheduler.config, "variance_type", None) in (
            "learned",
            "learned_range",
        )
        if not learns:
            output = output[:, : x.shape[1]]
        result = self.scheduler.step(
            output, t, x, **{key: value for key, value in more.items() if key in known}
        )
        estimate = getattr(result, "pred_original_sample", None)
        return result.prev_sample, self.scheduler.model_outputs[
            -1
        ] if estimate is None else estimate

    @torch.no_grad()
    def __call__(
        self,
        batch_size=1,
        num_inference_steps=None,
        class_labels=None,
        guidance_scale=None,
        eta=None,
        generator=None,
        latents=None,
        step_noise=None,
        output_type="pil",
        return_dict=True,
    ):
        """output_type: pil, np, pt (both clamped to 0..1) or latent (around -1..1). latents
        [B,C,H,W] and step_noise [K,B,C,H,W] take the place of random numbers."""
        settings, unet = self.config, self.unet
        device = self._execution_device
        shape = (batch_size, unet.config.channels, unet.config.sample_size, unet.config.sample_size)
        x = (
            randn_tensor(shape, generator=generator, device=device, dtype=unet.dtype)
            if latents is None
            else latents.to(device, unet.dtype)
        )
        if unet.config.num_classes and class_labels is None:
            class_labels = torch.arange(len(x)) % unet.config.num_classes
        labels = torch.as_tensor(class_labels, device=device) if unet.config.num_classes else None
        self.scheduler.set_timesteps(
            settings.num_inference_steps if num_inference_steps is None else num_inference_steps,
            device=device,
        )
        if hasattr(
            self.scheduler, "set_begin_index"
        ):  # else one that has a time twice, as Karras' grids do, begins at the second
            self.scheduler.set_begin_index(0)
        x, estimate = x * self.scheduler.init_noise_sigma, None
        for k, t in enumerate(self.progress_bar(self.scheduler.timesteps)):
            output = self.predict(
                x,
                t,
                labels,
                settings.guidance_scale if guidance_scale is None else guidance_scale,
                estimate,
            )
            x, estimate = self.step(
                output, t, x, k, settings.eta if eta is None else eta, generator, step_noise
            )
            estimate = estimate if unet.config.self_condition else None
        if output_type == "latent":
            pictures = x
        else:
            pictures = (x / 2 + 0.5).clamp(0, 1).cpu()
            if output_type != "pt":
                pictures = pictures.permute(0, 2, 3, 1).float().numpy()
            if output_type == "pil":
                pictures = self.numpy_to_pil(pictures)
        return ImagePipelineOutput(images=pictures) if return_dict else (pictures,)
