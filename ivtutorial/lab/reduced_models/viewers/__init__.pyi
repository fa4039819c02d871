from ivtutorial.lab.reduced_models.viewers.run import Viewers as Viewers, train_viewers as train_viewers
