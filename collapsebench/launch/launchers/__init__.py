"""One launcher a file, found by its name; ``launch.launcher`` says what each must offer."""
