from ivtutorial.lab.reduced_models.measuring.cards import write_cards as write_cards
from ivtutorial.lab.reduced_models.measuring.models import (
    MeasureConfig as MeasureConfig,
    measure_models as measure_models,
)
