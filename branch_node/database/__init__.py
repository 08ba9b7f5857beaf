"""The branch's database: schema, migrations, opening it, look-ups and queries, witness, verification."""
