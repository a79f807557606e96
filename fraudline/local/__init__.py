"""The whole deployment on one machine: the AWS emulator, the Prefect server and a worker as child processes."""
