"""What operators ask of the API from the command line, one file per kind of thing, by the generated client."""
