from ivtutorial.lab.reduced_models.export import export_models as export_models
from ivtutorial.lab.reduced_models.reward import mix_weights as mix_weights
from ivtutorial.lab.reduced_models.stages import build_latents as build_latents, train_model as train_model
