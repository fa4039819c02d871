"""What is trained: each part's network, loss and configuration.

| module         | holds                                   |
|----------------|-----------------------------------------|
| `text`         | tokenizer and text encoder              |
| `perceptual`   | features that compare pictures          |
| `autoencoder`  | frames to latents and back              |
| `latent_space` | fewer channels, the same spread in each |
| `noise_levels` | which noise levels are trained          |
| `image_model`  | the UNet on single frames               |
| `video_model`  | the UNet on clips                       |
| `decoder`      | the decoder, on latents of the model    |
"""
