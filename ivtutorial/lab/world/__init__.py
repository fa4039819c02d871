"""The reduced world: a procedural zoo whose clips, captions, faults and truth are all known.

| module            | holds                                           |
|-------------------|-------------------------------------------------|
| `facts`           | the facts of a clip, and how they become frames |
| `captions`        | many wordings of the same facts                 |
| `training_captions` | captions with facing and faults              |
| `web_faults`      | blur, haze, noise, watermark, flicker           |
| `samples`         | frames and clips drawn on the fly               |
| `clip_set`        | the fine-tuning clips as files                  |
| `prompt_lists`    | the evaluation prompts                          |
| `judges`          | what is really to be seen in a clip             |
| `annotators`      | whose preferences the reduced reward learnt     |
| `preference_quiz` | pairs of pictures to choose from                |
| `posters`         | the zoo in pictures, for the book               |
| `fault_mixer`     | a fox whose faults are mixed in the page        |
| `clip_sheets`     | clips to fine-tune on and clips to leave out    |
| `showcase`        | pictures of the world for people                |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
