"""Wan 2.1: a flow-matching transformer with a causal video autoencoder.

| module      | holds                                                |
|-------------|------------------------------------------------------|
| `backbone`  | transformer, autoencoder and text encoder as one     |
| `decoding`  | choose, then decode, where frames depend on the past |
| `prompts`   | prompt embeddings without padding, and padded        |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
