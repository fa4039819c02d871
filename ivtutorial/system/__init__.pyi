from ivtutorial.system.at_rest import weights_at_rest as weights_at_rest
from ivtutorial.system.device import choose_device as choose_device
from ivtutorial.system.files import (
    atomic_write as atomic_write,
    atomic_write_text as atomic_write_text,
    check_writable as check_writable,
    data_path as data_path,
    hash_of as hash_of,
    key as key,
    plain_json as plain_json,
    sha256 as sha256,
)
from ivtutorial.system.moving_average import MovingAverage as MovingAverage
from ivtutorial.system.out_of_memory import explain_out_of_memory as explain_out_of_memory
from ivtutorial.system.processes import launch as launch
from ivtutorial.system.progress import bar as bar
from ivtutorial.system.provenance import peak_memory_mb as peak_memory_mb
from ivtutorial.system.share import (
    average_gradients as average_gradients,
    gather as gather,
    own_share as own_share,
    rank_and_world as rank_and_world,
)
