"""Sort waste by camera: a photo goes in; category, biodegradability, calibrated confidence and stream come out.

from binsight.predictor import Predictor

predictor = Predictor.load("waste8")
print(predictor.predict_file("can.jpg").to_dict())
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
