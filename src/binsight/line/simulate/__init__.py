"""A line without hardware: real photos on a rendered belt, the true engine, a sorter with books of its own."""
