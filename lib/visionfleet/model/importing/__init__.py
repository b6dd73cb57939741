"""Makes an artefact of a foreign model: by name, folder, or file."""
