"""What looks at clips and says what is really to be seen. Fine-tuning never sees any of it.

| module      | holds                                                                       |
|-------------|-----------------------------------------------------------------------------|
| `judge`     | the judge: subject, colour, scene, movement, strength of each fault         |
| `second`    | a network of another architecture for a second judge                        |
| `features`  | a network whose features compare pictures                                   |
| `artefacts` | how far a clip lies from every render of what it should show                |
| `panel`     | all of them at once, as columns of an evaluation's table                    |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
