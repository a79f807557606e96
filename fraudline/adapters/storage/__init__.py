"""Named bytes in a folder or in S3, and files of this machine."""
