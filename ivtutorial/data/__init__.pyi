from ivtutorial.data.captions import check_caption as check_caption
from ivtutorial.data.check import Checked as Checked, check_entries as check_entries
from ivtutorial.data.clips import load_frames as load_frames, read_clips as read_clips, write_clips as write_clips
from ivtutorial.data.dataset import (
    LatentDataset as LatentDataset,
    encode_clips as encode_clips,
    positions as positions,
    slot_generator as slot_generator,
)
from ivtutorial.data.latent_cache import LatentCache as LatentCache
from ivtutorial.data.lists import Clip as Clip, Entry as Entry, read_entries as read_entries
from ivtutorial.data.preparation import Prepared as Prepared, prepare as prepare
from ivtutorial.data.prompts import (
    Prompt as Prompt,
    as_prompts as as_prompts,
    read_prompts as read_prompts,
    shipped_prompts as shipped_prompts,
)
