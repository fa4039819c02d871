from ivtutorial.weights.files import fill as fill, read_weights as read_weights, tensors_of as tensors_of
from ivtutorial.weights.hub import hub_file as hub_file, hub_folder as hub_folder, is_hub_name as is_hub_name
from ivtutorial.weights.pipeline_folder import (
    find_pipeline as find_pipeline,
    load_model as load_model,
    write_pipeline as write_pipeline,
)
