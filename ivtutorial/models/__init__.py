"""The networks: the video UNet, its adapter, the bundle that the methods see, and where they come from.

| module            | holds                                        |
|-------------------|----------------------------------------------|
| `backbone`        | UNet, VAE, text encoder and scheduler as one |
| `backbone_folder` | the same on disk                             |
| `flow_view`       | such a model seen as a flow model            |
| `dit`             | video transformers with causal autoencoders  |
| `named`           | models by name                               |
| `unet`            | diffusers' UNet and what fine-tuning adds    |
| `modes`           | train and eval mode of a network             |
| `scheduler`       | the noise schedule                           |
| `fast_blocks`     | its blocks in another order of work          |
| `precision`       | which precision a processor is fast in       |
| `lora`            | the adapter (Sec. 3.3, chapter 8)            |
| `lora_layer`      | its projection in half precision             |
| `lora_formats`    | adapter files of other trainers              |
| `wan_names`       | names of Wan's layers in its authors' code   |
| `memory`          | precision and recomputation of each part     |
| `official`        | the authors' weights in diffusers' layout    |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
