from ivtutorial.lab.world.drawing.pen import Pen as Pen, Placement as Placement
from ivtutorial.lab.world.drawing.scenes import SCENES as SCENES
from ivtutorial.lab.world.drawing.subject import COLOURS as COLOURS, Palette as Palette, Subject as Subject
from ivtutorial.lab.world.drawing.subjects import (
    ALL as ALL,
    SPECIES as SPECIES,
    UNSEEN as UNSEEN,
)
from ivtutorial.lab.world.drawing.things import THINGS as THINGS
