"""How AWS is called: clients, bodies that are ready to send, batches, waiting between attempts, what refusals mean."""
