"""InstructVideo (CVPR 2024) top to bottom, nothing hidden: edit clips, reward the edits, follow the gradient.

    python examples/instructvideo_in_100_lines.py data/clips runs/flat

The adapter opens in stock diffusers. `ivtutorial finetune` takes the same steps, with checkpoints and on several GPUs.
"""

import sys

import numpy as np
import torch
from diffusers import TextToVideoSDPipeline
from peft import LoraConfig, get_peft_model_state_dict

import ivtutorial as iv

tau, D, T = 0.6, 20, 1000  # noise level, DDIM steps, training timesteps (Eq. 3, 4)
S, lambda_tar = 4, 1.0  # segments (Eq. 6), steepness of the attenuation (Eq. 7)
guidance, rank, seed = 3.0, 4, 0


def train(model, reward, latents, captions, steps=100, batch_size=2, lr=1e-3):
    """Fine-tune an adapter on latents (N, C, F, h, w) with N captions. The paper: 20,000 steps of 8 clips, lr 1e-5."""
    unet, vae, abar = model.unet, model.vae, model.scheduler.alphas_cumprod.tolist()
    velocity = model.scheduler.config.prediction_type == "v_prediction"
    optimizer = torch.optim.AdamW(attach_lora(unet), lr=lr, weight_decay=0.0)
    text, N = encode_text(model, ["", *captions]), len(captions)

    for step in range(steps):
        # A few clips of the shuffled set, and a source of random numbers that belongs to the step.
        stream = range(step * batch_size, (step + 1) * batch_size)
        batch = [int(np.random.default_rng((seed, 1, i // N)).permutation(N)[i % N]) for i in stream]
        state = np.random.SeedSequence((seed, 2, step, 0)).generate_state(2, np.uint64) >> np.uint64(1)
        generator = torch.Generator().manual_seed(int(state[1]))
        z, c, empty = latents[batch], text[[i + 1 for i in batch]], text[:1].expand(len(batch), -1, -1)
        B, _, F, _, _ = z.shape

        # Noise the clips to t_noi.
        timesteps = [T // D * (i - 1) + 1 for i in range(int(tau * D + 1e-6), 0, -1)]  # Eq. 3, 4
        a = abar[timesteps[0]]
        z_t = a**0.5 * z + (1 - a) ** 0.5 * torch.randn(z.shape, generator=generator)  # Eq. 5

        # Denoise them in tau * D steps of DDIM; only the last one carries gradient (K = 1).
        for t, t_prev in zip(timesteps, [*timesteps[1:], 0], strict=True):
            with torch.set_grad_enabled(t == timesteps[-1]):
                pair = unet(torch.cat([z_t, z_t]), t, encoder_hidden_states=torch.cat([empty, c])).sample.chunk(2)
                output = pair[0] + guidance * (pair[1] - pair[0])
                a, a_prev = abar[t], abar[t_prev]  # the chain ends at the level of timestep 0
                p, q = a**0.5, (1 - a) ** 0.5
                x_0, e = (p * z_t - q * output, p * output + q * z_t) if velocity else ((z_t - q * output) / p, output)
                z_t = a_prev**0.5 * x_0 + (1 - a_prev) ** 0.5 * e

        # Reward one frame of each segment, those near the middle of the clip most.
        g = torch.randint(F // S, (B, S), generator=generator) + F // S * torch.arange(S)  # Eq. 6
        f = torch.exp(-lambda_tar * (g - F // 2).abs().float())  # Eq. 7
        chosen = z_t.transpose(1, 2)[torch.arange(B)[:, None], g].flatten(0, 1)
        frames = (vae.decode(chosen / vae.config.scaling_factor).sample * 0.5 + 0.5).clamp(0, 1)
        r = reward(frames, [captions[i] for i in batch for _ in range(S)]).view(B, S)
        R = (f * r).mean(dim=1)  # Eq. 8

        optimizer.zero_grad()
        (-R.mean()).backward()  # Eq. 2, 9
        optimizer.step()
        print(f"step {step + 1}: R {R.mean().item():.4f}, mean score of the frames {r.mean().item():.4f}")


def attach_lora(unet):
    """W + B A in every attention projection: A ~ N(0, 1 / rank^2), B = 0, so that it begins as the base model."""
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    unet.eval()
    generator = torch.Generator().manual_seed(seed)
    weights = {name: weight for name, weight in unet.named_parameters() if "lora_" in name}
    for name, weight in weights.items():
        down = "lora_A" in name
        weight.data = torch.randn(weight.shape, generator=generator) / rank if down else torch.zeros_like(weight)
    return list(weights.values())


def encode_text(model, texts):
    """Prompt embeddings (N, L, E); "" is the empty prompt of the guidance."""
    length = model.tokenizer.model_max_length
    tokens = model.tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    with torch.no_grad():
        return model.text_encoder(tokens.input_ids).last_hidden_state


def encode_clips(model, clips):
    """Latents (N, C, F, h, w) of clips (N, F, 3, H, W) in [0, 1], times the VAE's scaling factor."""
    with torch.no_grad():
        parts = [model.vae.encode(frames * 2 - 1).latent_dist.mode() for frames in clips]
    return torch.stack(parts).transpose(1, 2) * model.vae.config.scaling_factor


if __name__ == "__main__":
    model, reward = iv.open_model("reduced"), iv.open_reward("reduced")  # or "modelscope" and "hpsv2"
    clips = iv.read_clips(sys.argv[1])[::25]
    latents = encode_clips(model, iv.load_frames(clips))
    train(model, reward, latents, [clip.caption for clip in clips])
    TextToVideoSDPipeline.save_lora_weights(sys.argv[2], unet_lora_layers=get_peft_model_state_dict(model.unet))
