"""The layers of a network: told from a Keras model or an ONNX graph, and drawn."""
