"""Video files in and out, and pictures of clips.

| module       | holds                                                              |
|--------------|--------------------------------------------------------------------|
| `reader`     | video files of any format as clips of F frames                     |
| `pyav`       | one clear error where PyAV is missing                              |
| `decode`     | opens a file, chooses the stream, decodes it, refuses damage       |
| `complaints` | what FFmpeg logs while it decodes, and which of it is harmless     |
| `timing`     | which frame is shown at which time                                 |
| `picture`    | colours, orientation and shape of a frame                          |
| `writer`     | clips as files                                                     |
| `sheet`      | many clips on one picture                                          |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
