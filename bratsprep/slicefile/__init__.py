"""The slice file: schema, writer and reader."""
