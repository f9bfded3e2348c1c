"""What a training run will need in disk, memory and time, before it is started (``vhm doctor --plan``)."""
