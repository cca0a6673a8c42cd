"""Configs and their options as people read and type them: heads of files, comments, completion."""
