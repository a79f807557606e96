"""Features: defined once (`definition`), computed over columns (`offline`) and one by one (`online`), equal bit for bit."""
