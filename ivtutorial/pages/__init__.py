"""What the HTML pages share.

| module  | holds                                                        |
|---------|--------------------------------------------------------------|
| `page`  | `render_page`: the templates, every text escaped             |
| `curve` | a curve of training as SVG                                   |
| `film`  | small clips that play by themselves, and a slider between two |
| `embed` | clips and pictures inside a page                             |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
