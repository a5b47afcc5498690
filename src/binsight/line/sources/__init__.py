"""Where the line's pictures come from; every source opens itself anew and gives the newest frame only."""
