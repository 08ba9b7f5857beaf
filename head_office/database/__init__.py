"""Head office's database: schema, migrations, connections, binary COPY, log segments, notifications."""
