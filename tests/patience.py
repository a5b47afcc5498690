"""How long a test waits for what must come: it bounds a failure and nothing else, so that no busy machine makes one."""

PATIENCE_S = 60.0
