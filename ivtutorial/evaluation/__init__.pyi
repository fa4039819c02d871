from ivtutorial.evaluation.comparison import (
    Comparison as Comparison,
    Difference as Difference,
    compare as compare,
    difference as difference,
)
from ivtutorial.evaluation.evaluation import evaluate as evaluate
from ivtutorial.evaluation.flow import (
    asked_travel as asked_travel,
    diversity as diversity,
    measure_movement as measure_movement,
    optical_flow as optical_flow,
)
from ivtutorial.evaluation.intervals import (
    Estimate as Estimate,
    TwoWay as TwoWay,
    bootstrap_interval as bootstrap_interval,
    estimate as estimate,
    holm as holm,
    over_runs as over_runs,
    student as student,
    two_way as two_way,
)
from ivtutorial.evaluation.judging import ClipJudge as ClipJudge
from ivtutorial.evaluation.looks import measure as measure
from ivtutorial.evaluation.scoring import Scores as Scores, score as score, score_files as score_files
from ivtutorial.evaluation.table import Evaluation as Evaluation
