from ivtutorial.lab.world.judges.artefacts import Artefacts as Artefacts, open_artefacts as open_artefacts
from ivtutorial.lab.world.judges.features import FeatureNet as FeatureNet
from ivtutorial.lab.world.judges.judge import Judge as Judge, open_judge as open_judge, targets as targets
from ivtutorial.lab.world.judges.panel import Panel as Panel, open_panel as open_panel
from ivtutorial.lab.world.judges.second import SecondNet as SecondNet
