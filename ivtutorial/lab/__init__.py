"""Everything about the small world. The library above never imports it.

| folder           | holds                                                             |
|------------------|-------------------------------------------------------------------|
| `world`          | the zoo: facts, drawings, captions, web faults, annotators, judge |
| `reduced_models` | how the shipped models were trained and measured                  |
| `experiments`    | the paper's figures and tables again (chapter 13)                 |
| `study`          | Table 2: people compare clips                                     |
| `demo`           | `make demo`                                                       |
"""
