from ivtutorial.system.files import (
    atomic_write as atomic_write,
    atomic_write_text as atomic_write_text,
    data_path as data_path,
    sha256 as sha256,
)
from ivtutorial.system.processes import launch as launch
from ivtutorial.system.provenance import peak_memory_mb as peak_memory_mb
