"""JSON schemas of YAML files, for editors, out of the annotations that configs are checked by."""
