from django.apps import AppConfig


class LoomWebConfig(AppConfig):
    name = "loomweb"
