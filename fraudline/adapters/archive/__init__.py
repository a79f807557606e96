"""What has landed: the archive of the stream, files of history and labels, and the record of builds."""
