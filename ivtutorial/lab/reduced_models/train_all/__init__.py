"""From nothing to the weights of the small text-to-video world: `ivtutorial zoo train-all`."""
