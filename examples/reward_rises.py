"""The smallest loop of this kind: one clip, one noise, and a reward that rises. Takes half a minute on a CPU core.

python examples/reward_rises.py
"""

import torch

import ivtutorial as iv
from ivtutorial.system import data_path


def climb(model, reward, clip, steps=15, lr=3e-3):
    """Rewards of an edited clip before each step and after the last, and its frames."""
    z = model.encode(iv.load_frames([clip]))  # pixels -> latents
    words, no_words = model.embed([clip.caption]), model.embed([""])
    predict = model.predictor(words, no_words, guidance=3.0)
    weights = iv.attach_lora(model.unet, rank=4, seed=0)  # all that is trained
    optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=0.0)
    rewards, edits = [], []

    for step in range(steps + 1):
        noise = torch.Generator().manual_seed(0)  # the same in every step
        z_0 = iv.edit(predict, z, model.scheduler, tau=0.6, D=5, K=1, generator=noise)
        frames = model.decode(z_0[0, :, 2::4].transpose(0, 1))  # 4 of its 16 frames
        R = reward(frames, [clip.caption] * 4).mean()
        rewards.append(R.item())
        edits.append(frames.detach())
        if step < steps:
            optimizer.zero_grad()
            (-R).backward()
            optimizer.step()
    return rewards, edits


def first_clip():
    """A training clip of the small world."""
    return next(clip for clip in iv.read_clips(data_path("clips")) if clip.path.match("fox/13.mp4"))


if __name__ == "__main__":
    model, reward = iv.open_model("reduced"), iv.open_reward("reduced")
    for step, R in enumerate(climb(model, reward, first_clip())[0]):
        print(f"after {step} steps: reward {R:.3f}")
