"""Weights read without running code.

| module            | holds                                                      |
|-------------------|------------------------------------------------------------|
| `files`           | one file into one network, every misfit named              |
| `hub`             | files and folders of the Hugging Face hub, checked by hash |
| `pipeline_folder` | folders in diffusers' pipeline layout                      |
| `fingerprint`     | short hashes of a model and of folders of weights          |
| `inside`          | the hashes of the networks that an object computes with    |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
