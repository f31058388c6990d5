"""What people look at: live progress, plain progress lines, text made safe for a terminal."""
