from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("actors", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="ActorAccess",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("user", models.CharField(max_length=150)),
                ("at", models.DateTimeField(auto_now_add=True, db_index=True)),
                ("actor_id", models.CharField(max_length=300)),
                ("action", models.CharField(max_length=120)),
            ],
            options={"ordering": ("-id",), "default_permissions": ()},
        ),
    ]
