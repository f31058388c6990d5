"""Progress reports: a live panel, plain log lines, and text made safe for a terminal."""
