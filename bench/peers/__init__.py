"""The same runs on other engines, in an environment of their own: they are no dependencies."""
