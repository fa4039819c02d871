"""How the reduced models were trained and measured.

| module         | holds                                               |
|----------------|-----------------------------------------------------|
| `train_all`    | everything from nothing, by a budget of hours       |
| `viewers`      | judges and reward, from what the model makes        |
| `recipe`       | the defaults of every training                      |
| `stages`       | one function for each training                      |
| `loop`         | one resumable training loop for all                 |
| `tokenizer`    | its vocabulary, from captions                       |
| `text_encoder` | a stock CLIPTextModel                               |
| `vae`          | a stock AutoencoderKL                               |
| `judge`        | the reader of facts                                 |
| `reward`       | the reduced HPS                                     |
| `latent_store` | encoded clips for the video model                   |
| `video_model`  | first images, then time                             |
| `export`       | what was trained, as the folders that are shipped   |
| `measuring`    | whether the models are good enough, and their cards |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
