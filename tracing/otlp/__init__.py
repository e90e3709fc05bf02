"""OTLP, the protocol of OpenTelemetry: spans of other services in, spans of ours out.

Both ways need optional packages, which are imported when they are first used.
"""
