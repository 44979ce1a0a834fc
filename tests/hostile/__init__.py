"""Bad inputs and surroundings: each ends in one clear line and the documented exit code."""
