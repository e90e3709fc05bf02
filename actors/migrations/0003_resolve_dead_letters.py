from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("actors", "0002_actoraccess")]

    operations = [
        migrations.AlterModelOptions(
            name="permissions",
            options={
                "managed": False,
                "default_permissions": (),
                "permissions": (
                    ("run_workflows", "Can run sample workflows"),
                    ("resolve_dead_letters", "Can retry and discard dead letters"),
                ),
            },
        ),
    ]
