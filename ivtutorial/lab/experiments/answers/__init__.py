"""What the results say: the JSON file of an experiment, differences with their intervals, verdicts, pictures.

| module           | holds                                                                         |
|------------------|-------------------------------------------------------------------------------|
| `summary`        | from measurements to the JSON file                                            |
| `results`        | the JSON file read, as text and as paired changes                             |
| `contrasts`      | two arms by run and prompt: differences, intervals, words                     |
| `course`         | the course of runs by run and prompt: best moments, slopes, speed             |
| `questions`      | the questions that decide on each claim, from data/results/questions.json     |
| `verdicts`       | what the JSON files say of the claims                                         |
| `gains`          | reward, truth and the annotators' choice side by side                         |
| `frontier_table` | the frontier's table and its questions                                        |
| `simulated_study` | Table 2 with simulated annotators: wins, ties and losses                     |
| `curves`         | panels over cost                                                              |
| `story`          | reward against truth along the runs                                           |
| `forest`         | differences one below the other, with margins                                 |
| `plots`          | from the JSON files to pictures                                               |
| `words`          | columns, arms and lists in words                                              |
"""
