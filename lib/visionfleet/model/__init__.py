"""The only package that imports torch and OpenVINO: networks, artefacts, inference."""
