from ivtutorial.lab.reduced_models.viewers.from_nothing import train_from_nothing as train_from_nothing
from ivtutorial.lab.reduced_models.viewers.run import Viewers as Viewers, train_viewers as train_viewers
