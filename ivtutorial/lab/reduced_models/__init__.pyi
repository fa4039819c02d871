from ivtutorial.lab.reduced_models.reward import mix_weights as mix_weights
