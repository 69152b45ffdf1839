"""The content of a volume as a stream: an archive of it is written, read, and checked."""
