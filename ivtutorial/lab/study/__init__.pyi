from ivtutorial.lab.study.answers import (
    Answer as Answer,
    append_answers as append_answers,
    make_answer as make_answer,
    read_answers as read_answers,
)
from ivtutorial.lab.study.pairs import ClipPair as ClipPair, Study as Study, open_study as open_study
from ivtutorial.lab.study.quiz import keep_letters as keep_letters, study_quiz as study_quiz
from ivtutorial.lab.study.result import (
    StudyResult as StudyResult,
    krippendorff_alpha as krippendorff_alpha,
    raw_agreement as raw_agreement,
    study_result as study_result,
)
from ivtutorial.lab.study.server import StudyServer as StudyServer
from ivtutorial.lab.study.session import Session as Session
from ivtutorial.lab.study.simulated import choice_shares as choice_shares, simulate as simulate
