"""The layer and the networks; imports Keras and nothing of this library's other rooms."""
