"""What the chapters of the book share.

| module        | holds                                                                                   |
|---------------|-----------------------------------------------------------------------------------------|
| `scale`       | `open_scale`: the models and the clip size that `IVTUTORIAL_SCALE` stands for; `seeded` |
| `exercises`   | `check`: is the function of an exercise right, and if not, which case fails?            |
| `costs`       | `saved_bytes`: memory that back-propagation keeps; `print_cost`: what a chapter took    |
| `style`       | colours, `use_style` for plots, `frame_row` for the frames of a clip beside a plot      |
| `widgets`     | `film_strip`, `clip_row`, `stepper`: pieces of a page that need no kernel               |
| `playgrounds` | `noise_circle`, `line_world`: sliders whose arithmetic is in the page                   |
| `in_page`     | `choice_head`: fitted to the reader's clicks; `step_calculator`: memory and operations  |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
