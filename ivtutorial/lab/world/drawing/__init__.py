"""The drawings of the reduced world.

| module          | holds                                    |
|-----------------|------------------------------------------|
| `pen`           | coverage of shapes as tensors            |
| `subject`       | colours, poses and what a subject is     |
| `subjects`      | all of them by name                      |
| `scenes`        | the eight backgrounds                    |
| `birds`         | chicken, duck, goose, turkey and others  |
| `carnivores`    | cat, dog, fox, lion and others           |
| `hoofed`        | horse, zebra, deer, camel and others     |
| `insects`       | bee, butterfly, spider, snail and others |
| `primates`      | gorilla, monkey, kangaroo                |
| `reptiles`      | snake, turtle, frog and others           |
| `sea`           | fish, whale, octopus and others          |
| `small_mammals` | rabbit, squirrel, bat and others         |
| `things`        | car, balloon, teapot and others          |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
