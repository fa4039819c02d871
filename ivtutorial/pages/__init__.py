"""What the HTML pages share.

| module  | holds                                                        |
|---------|--------------------------------------------------------------|
| `style` | the empty page: structure, looks in light and dark, a script |
| `curve` | a curve of training as SVG                                   |
| `embed` | clips and pictures inside a page                             |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
