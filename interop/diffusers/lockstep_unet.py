"""The image UNets of Lockstep for diffusers: tensor names and arithmetic of
denoising-diffusion-pytorch 2.3.4.

Written by `lockstep export --format diffusers`. It needs torch and diffusers alone.
B batch, C channels, N = height x width positions, h heads, d channels a head.
"""

import math

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d import UNet2DOutput
from torch import nn


def each(option, otherwise, count):
    """A value for each stage, from one value, a list, or nothing."""
    if isinstance(option, (list, tuple)):
        return list(option)
    return [otherwise if option is None else option] * count


class ChannelNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x):
        return F.normalize(x, dim=1) * self.g * x.shape[1] ** 0.5


class HalfBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = ChannelNorm(outputs)

    def forward(self, x, scale=None, shift=None):
        x = self.norm(self.proj(x))
        return F.silu(x if scale is None else x * (scale + 1) + shift)


class Block(nn.Module):
    def __init__(self, inputs, outputs, condition, dropout):
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(condition, 2 * outputs))
        self.block1, self.block2 = HalfBlock(inputs, outputs), HalfBlock(outputs, outputs)
        self.dropout = nn.Dropout(dropout)
        self.res_conv = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, condition):
        scale, shift = self.mlp(condition)[:, :, None, None].chunk(2, dim=1)
        return self.block2(self.dropout(self.block1(x, scale, shift))) + self.res_conv(x)


class Attention(nn.Module):
    """Over all positions (full), or linear in their number; without the residual."""

    def __init__(self, channels, full, heads, width, memory):
        super().__init__()
        self.full, self.heads, self.width = full, heads, width
        hidden = heads * width
        if memory:
            self.norm = ChannelNorm(channels)
            self.mem_kv = nn.Parameter(torch.randn(2, heads, *((4, width) if full else (width, 4))))
        else:
            self.norm, self.mem_kv = None, None
        self.to_qkv = nn.Conv2d(channels, 3 * hidden, 1, bias=False)
        out = nn.Conv2d(hidden, channels, 1)
        self.to_out = out if full else nn.Sequential(out, ChannelNorm(channels))

    def forward(self, x):
        batch, _, height, columns = x.shape
        qkv = self.to_qkv(x if self.norm is None else self.norm(x))
        q, k, v = qkv.reshape(batch, 3, self.heads, self.width, height * columns).unbind(
            1
        )  # [B, h, d, N]
        seen = self.attend_full(q, k, v) if self.full else self.attend_linear(q, k, v)
        return self.to_out(seen.reshape(batch, -1, height, columns))

    def with_memory(self, k, v, dim):
        if self.mem_kv is None:
            return k, v
        memory = self.mem_kv[:, None].expand(2, k.shape[0], -1, -1, -1)
        return torch.cat((memory[0], k), dim), torch.cat((memory[1], v), dim)

    def attend_full(self, q, k, v):
        q, k, v = (part.transpose(2, 3) for part in (q, k, v))
        k, v = self.with_memory(k, v, 2)
        return F.scaled_dot_product_attention(q, k, v).transpose(2, 3)

    def attend_linear(self, q, k, v):
        k, v = self.with_memory(k, v, 3)
        context = k.softmax(dim=-1) @ v.transpose(2, 3)
        return context.transpose(2, 3) @ (q.softmax(dim=-2) * self.width**-0.5)


class Named(nn.Module):
    """Gives a module the names FN and NORM below it: x -> fn(norm(x))."""

    def __init__(self, fn, norm=None):
        super().__init__()
        self.fn = fn
        if norm is not None:
            self.norm = norm

    def forward(self, x):
        return self.fn(self.norm(x) if hasattr(self, "norm") else x)


class LockstepUnet(ModelMixin, ConfigMixin):
    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        kind="unet",
        dim=64,
        sample_size=32,
        init_dim=None,
        out_dim=None,
        dim_mults=(1, 2, 4, 8),
        channels=3,
        self_condition=False,
        learned_variance=False,
        learned_sinusoidal_cond=False,
        random_fourier_features=False,
        learned_sinusoidal_dim=16,
        sinusoidal_pos_emb_theta=10000.0,
        dropout=0.0,
        attn_dim_head=None,
        attn_heads=None,
        full_attn=None,
        flash_attn=False,
        num_classes=0,
        cond_drop_prob=0.5,
    ):
        super().__init__()
        stages, by_class = len(dim_mults), kind == "class_unet"
        dims = [init_dim or dim, *(dim * times for times in dim_mults)]
        condition = 4 * dim * (2 if by_class else 1)
        heads, width = each(attn_heads, 4, stages), each(attn_dim_head, 32, stages)
        full = each(full_attn, False, stages) if full_attn else [False] * (stages - 1) + [True]
        middle = (heads[-1], width[-1])
        if by_class:
            heads, width, full = [4] * stages, [32] * stages, [False] * stages
        self.init_conv = nn.Conv2d(channels * (2 if self_condition else 1), dims[0], 7, padding=3)
        self.fourier = learned_sinusoidal_cond or random_fourier_features
        features = learned_sinusoidal_dim + 1 if self.fourier else dim
        head = nn.Module()
        if self.fourier:
            head.weights = nn.Parameter(
                torch.randn(learned_sinusoidal_dim // 2), requires_grad=not random_fourier_features
            )
        self.time_mlp = nn.Sequential(
            head, nn.Linear(features, 4 * dim), nn.GELU(), nn.Linear(4 * dim, 4 * dim)
        )
        if by_class:
            self.classes_emb = nn.Embedding(num_classes, dim)
            self.null_classes_emb = nn.Parameter(torch.randn(dim))
            self.classes_mlp = nn.Sequential(
                nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, 4 * dim)
            )

        def attention(size, i, is_full, shape):
            if not by_class:
                return Attention(size, is_full, *shape, memory=True)
            return Named(Named(Attention(size, is_full, *shape, memory=False), ChannelNorm(size)))

        def block(inputs, outputs):
            return Block(inputs, outputs, condition, dropout)

        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for i in range(stages):
            size, after = dims[i], dims[i + 1]
            if i + 1 == stages:
                resize = nn.Conv2d(size, after, 3, padding=1)
            elif by_class:
                resize = nn.Conv2d(size, after, 4, stride=2, padding=1)
            else:
                resize = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * size, after, 1))
            self.downs.append(
                nn.ModuleList(
                    (
                        block(size, size),
                        block(size, size),
                        attention(size, i, full[i], (heads[i], width[i])),
                        resize,
                    )
                )
            )
        for i in reversed(range(stages)):
            size, before = dims[i + 1], dims[i]
            conv = nn.Conv2d(size, before, 3, padding=1)
            resize = (
                nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), conv) if i > 0 else conv
            )
            self.ups.append(
                nn.ModuleList(
                    (
                        block(size + before, size),
                        block(size + before, size),
                        attention(size, i, full[i], (heads[i], width[i])),
                        resize,
                    )
                )
            )
        self.mid_block1, self.mid_block2 = block(dims[-1], dims[-1]), block(dims[-1], dims[-1])
        self.mid_attn = attention(dims[-1], stages, True, middle)
        self.final_res_block = block(2 * dims[0], dims[0])
        self.final_conv = nn.Conv2d(
            dims[0], out_dim or channels * (2 if learned_variance else 1), 1
        )

    def time_features(self, t):
        if self.fourier:
            t = t[:, None]
            angles = t * self.time_mlp[0].weights * 2 * math.pi
            return torch.cat((t.to(angles.dtype), angles.sin(), angles.cos()), -1)
        half = self.config.dim // 2
        rate = math.log(self.config.sinusoidal_pos_emb_theta) / (half - 1)
        angles = t[:, None] * torch.exp(torch.arange(half, device=t.device) * -rate)
        return torch.cat((angles.sin(), angles.cos()), -1)

    def forward(self, sample, timestep, class_labels=None, x_self_cond=None, return_dict=True):
        """sample [B,C,H,W], timestep a number or [B], class_labels [B] (-1: none) -> the
        prediction."""
        x = sample
        t = torch.as_tensor(timestep, device=x.device).reshape(-1).expand(x.shape[0])
        condition = self.time_mlp[1:](self.time_features(t).to(x.dtype))
        if self.config.kind == "class_unet":
            if class_labels is None:
                raise ValueError("this network needs class_labels: a number a picture, -1 for none")
            known = self.classes_emb(class_labels.clamp(min=0))
            chosen = torch.where((class_labels >= 0)[:, None], known, self.null_classes_emb)
            condition = torch.cat((condition, self.classes_mlp(chosen)), 1)
        if self.config.self_condition:
            x = torch.cat((torch.zeros_like(x) if x_self_cond is None else x_self_cond, x), 1)
        x = self.init_conv(x)
        first, kept = x, []
        for block1, block2, attention, resize in self.downs:
            x = block1(x, condition)
            kept.append(x)
            x = block2(x, condition)
            x = attention(x) + x
            kept.append(x)
            x = resize(x)
        x = self.mid_block1(x, condition)
        x = self.mid_block2(self.mid_attn(x) + x, condition)
        for block1, block2, attention, resize in self.ups:
            x = block1(torch.cat((x, kept.pop()), 1), condition)
            x = block2(torch.cat((x, kept.pop()), 1), condition)
            x = resize(attention(x) + x)
        x = self.final_conv(self.final_res_block(torch.cat((x, first), 1), condition))
        return UNet2DOutput(sample=x) if return_dict else (x,)
