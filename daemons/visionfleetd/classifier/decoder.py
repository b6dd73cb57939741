"""The classifier's decoding child process: from an image to the model's input. No torch, no AWS."""

from visionfleet.classifier.decoding_child import decoded
from visionfleet.host.child import serve

if __name__ == "__main__":
    serve(decoded)
