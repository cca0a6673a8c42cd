"""Judging trained tasks again: on other data, at other steps, together, by groups, by their confidence."""
