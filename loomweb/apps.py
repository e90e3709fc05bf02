from django.apps import AppConfig


class LoomWebConfig(AppConfig):
    name = "loomweb"

    def ready(self) -> None:
        # Importing registers the checks.
        from loomweb import checks  # noqa: F401
