"""Records what a release puts on the wire, and gives it to the tests of later ones."""
