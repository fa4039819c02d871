"""How the reduced models were trained and measured.

| module         | holds                                               |
|----------------|-----------------------------------------------------|
| `train_all`    | everything from nothing, by a budget of hours       |
| `viewers`      | judges and reward, from what the model makes        |
| `tokenizer`    | its vocabulary, from captions                       |
| `text_encoder` | a stock CLIPTextModel                               |
| `judge`        | the loss of a reader of facts                       |
| `reward`       | what the reduced HPS learns                         |
| `video_model`  | how an image model becomes one of clips             |
| `measuring`    | whether the models are good enough, and their cards |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
