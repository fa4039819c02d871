"""Today's models: video transformers with causal autoencoders.

| module         | holds                                                |
|----------------|------------------------------------------------------|
| `backbone`     | what the families share: text, guidance, late parts  |
| `parts`        | a network that is loaded when it is first needed     |
| `choosing`     | choose, then decode, where frames depend on the past |
| `prompt_side`  | its large text encoder, used once                    |
| `prompts`      | prompt embeddings without padding, and padded        |
| `wan`          | Wan 2.1                                              |
| `tiny_decoder` | a small decoder for Wan's latents, for the gradient  |
| `cogvideox`    | CogVideoX-2B                                         |
| `ltx`          | LTX-Video                                            |
| `dit_folder`   | opened from a folder or the hub, and written         |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
