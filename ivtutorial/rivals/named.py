"""The methods that come with the package, by name: the command line, settings and messages are made from this table.

It imports nothing heavy; `ivtutorial.training.methods.METHODS` holds the classes themselves.
"""

from __future__ import annotations

# Name of the class -> its module. The command line takes the name in any case.
METHOD_MODULES = {
    "InstructVideo": "ivtutorial.method.instructvideo",
    "Draft": "ivtutorial.rivals.draft",
    "RWR": "ivtutorial.rivals.rwr",
    "DDPO": "ivtutorial.rivals.ddpo",
    "Supervised": "ivtutorial.rivals.supervised",
    "DirectAlign": "ivtutorial.rivals.direct_align",
    "KeptPrefix": "ivtutorial.rivals.kept_prefix",
    "QuickEdit": "ivtutorial.rivals.quick_edit",
}
