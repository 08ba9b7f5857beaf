"""The coordinator's database: schema, migrations, reading and writing transfers, the lease."""
