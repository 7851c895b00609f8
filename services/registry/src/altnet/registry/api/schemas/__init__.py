"""What crosses REST. Requests refuse unknown fields; responses are made from rows by their `of` methods."""
