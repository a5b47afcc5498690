"""From a folder of photos to a bundle: puts data set, training, evaluation and export together."""
