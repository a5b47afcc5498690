"""From a bundle and photos to predictions, on ONNX Runtime."""

from binsight.predictor.cores import available_cores, one_blas_thread
from binsight.predictor.outputs import PhotoOutputs, run_photos
from binsight.predictor.precision import choose_precision, time_in_turn, time_in_turns
from binsight.predictor.prediction import Precision, Prediction
from binsight.predictor.predictor import Outputs, Predictor
from binsight.predictor.stream import predict_files, predict_many, run_in_order
from binsight.predictor.stream_check import FIRST_LOOK, OnStrange, StreamCheck, StreamState

__all__ = [
    "FIRST_LOOK",
    "OnStrange",
    "Outputs",
    "PhotoOutputs",
    "Precision",
    "Prediction",
    "Predictor",
    "StreamCheck",
    "StreamState",
    "available_cores",
    "choose_precision",
    "one_blas_thread",
    "predict_files",
    "predict_many",
    "run_in_order",
    "run_photos",
    "time_in_turn",
    "time_in_turns",
]
