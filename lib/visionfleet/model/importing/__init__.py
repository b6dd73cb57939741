"""Makes an artefact of a model from elsewhere: by name, by folder, or by file."""
