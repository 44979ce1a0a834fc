"""From names to jobs: in go a grid and what a user said, out come jobs with ids and their cost.

``grid`` reads the table of values, ``resolve`` spells every default out, ``forecast`` says what a
run would do.
"""
